package main

import (
	"encoding/json"
	"strings"
	"testing"

	"berth/internal/metrics"
	"berth/internal/platform"
	"berth/internal/release"
)

// Where nothing is kept, it counts now, and says what keeps metrics.
func TestMetricsThatAreCounted(t *testing.T) {
	w := newWorld()
	got := w.berth(t, "metrics", "production", "--for", "20s")
	if got.status != succeeded {
		t.Fatalf("%+v", got)
	}
	w.wantCalls(t, "count production 20s")
	if want := `REV  PODS  REQUESTS  A SECOND  2xx  3xx  4xx  5xx  P50     P99
9    2     500       25.0      480  0    15   5    ≤ 25ms  ≤ 500ms
8    1     2         0.1       2    0    0    0    ≤ 25ms  > 10s
7    1     0         0.0       0    0    0    0    -       -
`; got.out != want {
		t.Errorf("stdout is\n%s, want\n%s", got.out, want)
	}
	w = newWorld()
	w.berth(t, "metrics", "production").wants(t, succeeded, "metrics: 15d in berth.yaml keeps metrics")
	w.wantCalls(t, "count production 10s")
	var all []release.Requests
	if err := json.Unmarshal([]byte(newWorld().berth(t, "metrics", "production", "--json").out), &all); err != nil || len(all) != 3 || all[0].Classes["5xx"] != 5 {
		t.Errorf("as JSON: %+v, %v", all, err)
	}
}

func TestMetricsThatAreKept(t *testing.T) {
	w := newWorld()
	w.measured = &platform.MetricsStatus{}
	got := w.berth(t, "metrics", "production")
	got.wants(t, succeeded)
	w.wantCalls(t, "metrics of production for 1h0m0s", "count production 1h0m0s")
	if want := `REV      PODS  REQUESTS  A SECOND  2xx  3xx  4xx  5xx  P50     P99
9        2     500       0.1       480  0    15   5    ≤ 25ms  ≤ 500ms
8        1     2         0.0       2    0    0    0    ≤ 25ms  > 10s
earlier  1     1         0.0       0    0    0    0    > 0s    > 0s

            SINCE 2026-11-26 13:03:00  LEAST  MOST   LAST
requests/s   ▃▅▇█                      10.0   40.0   40.0
5xx          ▁▁█▅                      0.0 %  2.0 %  1.0 %
p99          ▄▄█▇                      100ms  250ms  200ms
CPU          ▃▃▅█                      50m    200m   200m
memory       ████                      64Mi   65Mi   65Mi
`; got.out != want {
		t.Errorf("stdout is\n%s, want\n%s", got.out, want)
	}
	var kept struct {
		metrics.Environment
		Revisions []release.Requests
	}
	got = w.berth(t, "metrics", "production", "--json", "--since", "2d")
	if err := json.Unmarshal([]byte(got.out), &kept); err != nil || len(kept.Revisions) != 3 || len(kept.Rate) != 5 || !kept.Rate[0].Missing() || kept.Rate[4] != 40 || kept.StepSeconds != 34560 {
		t.Errorf("as JSON: %+v, %v", kept, err)
	}

	// Another's ingress counts nothing.
	w.cluster.Ingress = nil
	got = w.berth(t, "metrics", "production")
	got.wants(t, succeeded, "requests are not counted", "CPU")
	if strings.Contains(got.out, "requests/s") {
		t.Error(got.out)
	}
}

func TestMetricsInPromQL(t *testing.T) {
	w := newWorld()
	w.measured = &platform.MetricsStatus{}
	w.berth(t, "metrics", "production", "--query", "up").wants(t, succeeded, "METRIC", `up{instance="node-1", job="nodes"}  1`)
	w.berth(t, "metrics", "production", "--query", "up", "--since", "1h").wants(t, succeeded, "LEAST", `up{instance="node-1", job="nodes"}  █▅  0.5    1     0.5`)
	w.wantCalls(t, "query up for 0s", "query up for 1h0m0s")
	var all []metrics.Series
	if got := w.berth(t, "metrics", "production", "--query", "up", "--json"); json.Unmarshal([]byte(got.out), &all) != nil || len(all) != 1 || all[0].Points[0].Value != 1 {
		t.Errorf("as JSON: %+v", got)
	}
}

func TestMetricsThatCannotBeShown(t *testing.T) {
	for _, test := range []struct {
		project string
		args    []string
		status  int
		want    string
	}{
		{"", []string{"--for", "1ms"}, misused, "--for must be a second or more"},
		{"", []string{"--for", "0s"}, misused, "--for must be a second or more"},
		{"", []string{"--for", "10s", "--since", "1h"}, misused, "need metrics that are kept"},
		{"", []string{"--since", "1s"}, misused, "a minute or more"},
		{"", []string{"--since", "1h"}, failed, "set metrics: 15d"},
		{"", []string{"--query", "up"}, failed, "set metrics: 15d"},
		{"metrics: 15d\n", []string{"--since", "1h"}, failed, "berth deploy staging"},
	} {
		w := newWorld()
		w.project += test.project
		w.berth(t, append([]string{"metrics", "production"}, test.args...)...).wants(t, test.status, test.want)
	}
}

// berth.yaml says whether metrics are kept; one that says nothing changes nothing.
func TestMetricsAreKeptAndRemovedByADeploy(t *testing.T) {
	w := newWorld()
	w.project = tiny + "metrics: 15d\n"
	w.berth(t, "deploy", "staging").wants(t, succeeded)
	w.wantCalls(t, "publish", "deploy staging local/tiny:1", "install metrics ")

	// Where services are built, so is this.
	w.calls, w.cluster.BuildsServices = nil, true
	w.berth(t, "deploy", "staging").wants(t, succeeded)
	w.wantCalls(t, "publish", "deploy staging local/tiny:1", "publish", "install metrics local/metrics:1")

	w.calls, w.project = nil, tiny+"metrics: 15d\nimages: {metrics: ghcr.io/me/metrics:1}\n"
	w.berth(t, "deploy", "staging").wants(t, succeeded)
	w.wantCalls(t, "publish", "deploy staging local/tiny:1", "install metrics ghcr.io/me/metrics:1")

	w.calls, w.project = nil, tiny
	w.berth(t, "deploy", "staging").wants(t, succeeded)
	w.wantCalls(t, "publish", "deploy staging local/tiny:1")

	w.calls, w.project = nil, tiny+"metrics: 0\n"
	w.berth(t, "deploy", "staging").wants(t, succeeded)
	w.wantCalls(t, "publish", "deploy staging local/tiny:1", "remove metrics")

	w.calls = nil
	w.berth(t, "deploy", "staging").wants(t, succeeded)
	w.wantCalls(t, "publish", "deploy staging local/tiny:1")
}

func TestStatusHasOneLineOfMetrics(t *testing.T) {
	serving := release.Status{Deployed: true, Serving: true, Warnings: []string{}}
	for _, test := range []struct {
		measured *platform.MetricsStatus
		status   int
		want     string
	}{
		{nil, failed, "✗ metrics: no metrics are kept in this cluster"},
		{&platform.MetricsStatus{Days: 15}, succeeded, "✓ metrics: kept for 15 days, nothing measured yet"},
		{&platform.MetricsStatus{Days: 15, Sources: 2}, succeeded, "✓ metrics: kept for 15 days, all 2 sources answer"},
		{&platform.MetricsStatus{Days: 15, Sources: 2, Silent: []string{"node-2 of nodes"}}, failed, "✗ metrics: kept for 15 days, and 1 of 2 sources do not answer: node-2 of nodes"},
	} {
		w := newWorld()
		w.api(t)
		w.project, w.measured = tiny+"metrics: 15d\n", test.measured
		w.status = map[string]release.Status{"staging": serving, "production": serving}
		w.berth(t, "status").wants(t, test.status, test.want)
	}
}

// What goes for good is said before, the volume of the metrics too.
func TestDestroyNamesTheMetrics(t *testing.T) {
	w := newWorld()
	w.project, w.measured = tiny+"metrics: 15d\n", &platform.MetricsStatus{}
	w.berth(t, "destroy", "--yes").wants(t, succeeded, "the metrics of the last 15 days with their volume, which no backup has")
	if !strings.Contains(strings.Join(w.calls, "\n"), "remove metrics") {
		t.Errorf("called %q", w.calls)
	}
}

// Of an application that answers no requests there is what it uses.
func TestMetricsOfAnApplicationThatOnlyWorks(t *testing.T) {
	w := newWorld()
	w.project = "name: tiny\ndockerfile: Dockerfile\nprocesses: {worker: {command: [work]}}\nenvironments: {production: {}}\n"
	w.measured = &platform.MetricsStatus{}
	got := w.berth(t, "metrics", "production")
	got.wants(t, succeeded, "CPU", "memory")
	if strings.Contains(got.out+got.errors, "requests") || strings.Contains(got.out, "REV") {
		t.Errorf("%+v", got)
	}
	w.wantCalls(t, "metrics of production for 1h0m0s")
}

// An environment may be the preview of a branch.
func TestMetricsOfAPreview(t *testing.T) {
	w := newPreviewed(t)
	w.measured = &platform.MetricsStatus{}
	w.berth(t, "metrics", "feature/login").wants(t, succeeded, "requests/s")
	w.wantCalls(t, "metrics of shop-preview-login for 1h0m0s", "count shop-preview-login 1h0m0s")
}
