package local

import (
	"net/netip"
	"testing"
)

func TestNetworkPlan(t *testing.T) {
	n := network{netip.MustParsePrefix("10.118.0.0/16")}
	for _, c := range []struct{ what, got, want string }{
		{"API server", n.api().String(), "10.118.0.1"},
		{"DNS server", n.dns().String(), "10.118.0.2"},
		{"node 1", n.node(1).String(), "10.118.0.11"},
		{"pods of node 1", n.pods(1).String(), "10.118.1.0/24"},
		{"last node", n.node(maxNodes).String(), "10.118.0.70"},
		{"pods of the last node", n.pods(maxNodes).String(), "10.118.60.0/24"},
		{"services", n.services().String(), "10.118.128.0/17"},
		{"service of the API server", n.firstService().String(), "10.118.128.1"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", c.what, c.got, c.want)
		}
	}
	for i := 1; i <= maxNodes; i++ {
		if pods := n.pods(i); pods.Overlaps(n.machine()) || pods.Overlaps(n.services()) || !n.cluster().Overlaps(pods) {
			t.Fatalf("pods of node %d have %s, which is not theirs alone", i, pods)
		}
	}
}
