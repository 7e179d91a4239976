package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"berth/internal/alert"
	"berth/internal/release"
)

// told is the environment of somebody who is told.
var told = []string{"ALERTS_URL=ntfy://ntfy.sh/topic discord://token@1"}

func TestTheWatchIsInstalledWhereSomebodyIsToldAndRemovedElsewhere(t *testing.T) {
	w := newWorld()
	w.environ = told
	w.berth(t, "deploy", "staging").wants(t, 0, "staging serves revision 2")
	w.wantCalls(t, "publish", "deploy staging local/tiny:1", "publish", "install watch local/watch:1 for 2 destinations, 2 secrets")

	// CI, where nobody has a .env, changes nothing of it.
	w.calls, w.environ = nil, nil
	w.berth(t, "deploy", "staging").wants(t, 0, "staging serves revision 2")
	w.wantCalls(t, "publish", "deploy staging local/tiny:1")

	w.calls, w.dotEnv = nil, "ALERTS_URL=\n"
	w.berth(t, "deploy", "staging").wants(t, 0, "staging serves revision 2")
	w.wantCalls(t, "publish", "deploy staging local/tiny:1", "remove watch")

	// Nobody builds its image who wants none.
	w.calls = nil
	w.berth(t, "deploy", "staging").wants(t, 0, "staging serves revision 2")
	w.wantCalls(t, "publish", "deploy staging local/tiny:1")
}

// A mistake in it is said before anything is done, and quotes nothing.
func TestABadAlertsURLIsOneClearError(t *testing.T) {
	for _, test := range []struct{ environ, want string }{
		{"ALERTS_URL=slak://sEcReT", `ALERTS_URL in .env: URL 1: there is no service "slak"`},
		{"ALERTS_URL=ntfy://ntfy.sh/topic telegram://sEcReT", "ALERTS_URL in .env: URL 2: it is not a URL of telegram"},
		{"ALERTS_PING_URL=https://hc-ping.com/sEcReT", "ALERTS_PING_URL is set, and ALERTS_URL is not"},
		{"ALERTS_PING_URL=sEcReT ALERTS_URL=ntfy://ntfy.sh/topic", "ALERTS_PING_URL is not a URL"},
	} {
		for _, command := range [][]string{{"up"}, {"deploy", "staging"}} {
			w := newWorld()
			w.environ = strings.Split(strings.Replace(test.environ, " ALERTS", "\nALERTS", 1), "\n")
			got := w.berth(t, command...)
			got.wants(t, 2, test.want)
			if strings.Contains(got.errors, "sEcReT") || strings.Count(got.errors, "\n") > 3 {
				t.Errorf("%v says %s", command, got.errors)
			}
			w.wantCalls(t)
		}
	}
}

func TestAlertsShowWhatIsBroken(t *testing.T) {
	w := newWorld()
	w.berth(t, "alerts").wants(t, 1, "nothing watches this cluster", "ALERTS_URL")
	w.environ = told
	w.berth(t, "alerts").wants(t, 1, "nothing watches this cluster", "berth deploy staging")

	w.watch = &alert.Report{Destinations: []alert.Delivery{{Name: "ntfy"}}}
	w.berth(t, "alerts").wants(t, 0, "✓ nothing is broken", "ntfy")

	since := time.Now().Add(-2 * time.Hour)
	w.watch.Problems = []alert.Problem{{Title: "production: web is in a crash loop", Kind: "CrashLoopBackOff", Since: since, Told: since.Add(time.Minute)}}
	w.watch.Suspected = []alert.Problem{{Title: "staging: web is not ready", Since: time.Now()}}
	w.watch.Destinations[0].Problem = "the server answers 403 Forbidden"
	w.berth(t, "alerts").wants(t, 1, "✗  production: web is in a crash loop  CrashLoopBackOff  2h", "not told yet: staging: web is not ready", "403 Forbidden")
	got := w.berth(t, "alerts", "--json")
	var report alert.Report
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.status != failed || len(report.Problems) != 1 {
		t.Errorf("%v: %+v", err, got)
	}
}

// A test goes the way of any other message where that is, and from here otherwise.
func TestATestMessage(t *testing.T) {
	texts := make(chan string, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct{ Text string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		texts <- body.Text
	}))
	t.Cleanup(hook.Close)
	w := newWorld()
	w.berth(t, "alerts", "test").wants(t, 1, "nothing watches this cluster")
	w.environ = []string{"ALERTS_URL=" + hook.URL}
	w.berth(t, "alerts", "test").wants(t, 0, "Sent from here", "has taken it")
	if got := <-texts; !strings.Contains(got, "a test message of berth") {
		t.Errorf("it says %q", got)
	}
	w.watch = &alert.Report{Destinations: []alert.Delivery{{Name: "ntfy"}, {Name: "slack", Problem: "no answer within 20s"}}}
	w.berth(t, "alerts", "test").wants(t, 1, "Sent from the cluster", "✓  ntfy   has taken it", "✗  slack  no answer within 20s")
	w.wantCalls(t, "test alerts")
}

func TestStatusHasOneLineOfAlerts(t *testing.T) {
	serving := release.Status{Deployed: true, Serving: true, Warnings: []string{}}
	for _, test := range []struct {
		watch  *alert.Report
		status int
		want   string
	}{
		{nil, 1, "✗ alerts: nothing watches this cluster"},
		{&alert.Report{}, 0, "✓ alerts: nothing is broken"},
		{&alert.Report{Problems: []alert.Problem{{Title: "production: web is in a crash loop"}}}, 0, "✓ alerts: 1 told and not healed, the oldest: production: web is in a crash loop"},
		{&alert.Report{Destinations: []alert.Delivery{{Name: "ntfy", Waiting: 3, Problem: "403"}}}, 1, "✗ alerts: nothing is broken; ntfy does not take messages (3 wait): 403"},
	} {
		w := newWorld()
		w.api(t)
		w.environ, w.watch = told, test.watch
		w.status = map[string]release.Status{"staging": serving, "production": serving}
		w.berth(t, "status").wants(t, test.status, test.want)
	}
}
