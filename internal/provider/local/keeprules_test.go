package local

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"berth/internal/config"
)

// A firewall that is loaded again takes the cluster's rules along, and one that
// comes after up knows nothing of it: both are seen.
func TestRulesComeBack(t *testing.T) {
	w := newTestNetwork(t)
	w.up(t)
	w.serve(t)
	p := newProvider(config.Local{}, layout{state: t.TempDir(), cache: t.TempDir()}, w.network)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	keeper := w.machine.twin(t)
	keeper.work <- func() { ended <- p.keepRules(ctx, slog.New(slog.DiscardHandler)) }
	for _, name := range []string{"nftables.service with an input drop", "Docker"} {
		w.machine.run(t, "nft flush ruleset\n"+firewalls[name].rules)
		for deadline := time.Now().Add(30 * time.Second); ; {
			if w.pod.reaches(t, "tcp", "10.118.0.1:9000") && w.pod.reaches(t, "tcp", "10.118.1.6:8000") &&
				w.pod.reaches(t, "tcp", "192.168.77.2:80") && !w.neighbour.reaches(t, "tcp", "10.118.1.5:8000") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the rules do not come back:\n%s", name, w.rules(t))
			}
		}
	}
	// Its own changes are nothing to act on: handles count up with each.
	settled := w.machine.run(t, "nft --handle list ruleset")
	time.Sleep(3 * settle)
	if later := w.machine.run(t, "nft --handle list ruleset"); counters.ReplaceAllString(later, "") != counters.ReplaceAllString(settled, "") {
		t.Errorf("rules go on changing, from\n%s\nto\n%s", settled, later)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.machine.in(t, func() error { return w.network.down(t.Context()) })
	if after := w.rules(t); strings.Contains(after, "10.118") {
		t.Errorf("after down there is\n%s", after)
	}
}
