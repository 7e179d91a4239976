package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/internal/fault"
	"berth/internal/metrics"
	"berth/internal/platform"
	"berth/internal/release"
	"berth/internal/rollout"
)

// text is what a fragment says, without its tags.
func text(html string) string {
	html = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(html, " ")
	return strings.Join(strings.Fields(html), " ")
}

func TestEveryPage(t *testing.T) {
	v := visit(t)
	for path, want := range map[string]string{
		"/":                                     "Environments Nodes",
		"/backups":                              "Backups production",
		"/nodes":                                "Where log lines go",
		"/alerts":                               "Alerts",
		"/environments/production":              "production Restart…",
		"/environments/production/logs":         "Search Level",
		"/environments/production/revisions/13": "production Revision 13",
		"/environments/production/rollback?revision=12": "Roll production back to revision 12?",
		"/environments/production/restart":              "Restart production?",

		"/part/environments":                         "production Serving Address https://conduit.localhost:8443 Revision 14 · 77aa01b2c3 · 5 hours ago Pods 2 of 2 ready Uses 47m CPU, 186 MiB",
		"/part/environments/production":              "and www.conduit.localhost Revision 14 , 5 hours ago jo@ci",
		"/part/environments/production/metrics":      "Requests a second 23.0 Requests a second From",
		"/part/environments/staging":                 "conduit-5bd9c4-7hq2m Running node-1 0 3m 21 MiB 5 hours ago",
		"/part/environments/production/revisions":    "13 failed 5 hours ago jo@ci c0ffee0011 + deploy registry.localhost/conduit:c0ffee0 by jo@ci: failed:",
		"/part/environments/staging/revisions":       "There are none yet.",
		"/part/environments/production/revisions/13": "container web: CrashLoopBackOff: exit code 1: panic: no such table: articles",
		"/part/environments/production/backups":      "9 hours ago restored once and compared",
		"/part/nodes":                                "node-2 ready v1.37.2 2 3.8 GiB 96m 810 MiB 2 days ago",
		"/part/sinks":                                "bucket node-1 ok 48,211 0 just now",
		"/part/alerts":                               "is 91 % full, and will be full in 2 days volume 3 hours ago",
		"/part/glance/nodes":                         "✓ 2 of 2 ready",
		"/part/glance/backups":                       "✓ last good one 9 hours ago",
		"/part/glance/logs":                          "✓ lines arrive",
		"/part/glance/alerts":                        "! production: the volume of",
	} {
		answer := v.get(path)
		if said := text(answer.Body.String()); answer.Code != http.StatusOK || !strings.Contains(said, want) {
			t.Errorf("%s: %d; want %q in\n%s", path, answer.Code, want, said)
		}
	}
	for _, path := range []string{
		"/other", "/environments/other", "/environments/other/logs", "/environments/production/revisions/x", "/environments/production/revisions/0",
		"/environments/production/rollback", "/part/glance/other", "/part/environments/other", "/tasks/other", "/environments/%2e%2e/logs",
	} {
		if answer := v.get(path); answer.Code != http.StatusNotFound && answer.Code != http.StatusTemporaryRedirect {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
}

// What is measured is drawn: a line for each stretch that has values, and the same in
// words. Where no metrics are kept, there is nothing of it.
func TestPicturesOfMetrics(t *testing.T) {
	v := visit(t)
	if page := v.get("/environments/production").Body.String(); strings.Contains(page, "/metrics") {
		t.Error("pictures of what is not kept")
	}
	v.app.Metrics = true
	if page := v.get("/environments/production").Body.String(); !strings.Contains(page, "/part/environments/production/metrics") {
		t.Error("no pictures of what is kept")
	}
	part := v.get("/part/environments/production/metrics").Body.String()
	for _, want := range []string{
		`aria-labelledby="errors-title errors-text"`, `<title id="errors-title">Answered 5xx</title>`,
		`<desc id="errors-text">From `, `: 0.0 % at least, 5.0 % at most, 5.0 % at last.</desc>`, `class="picture bad"`, "250ms", "MiB",
	} {
		if !strings.Contains(part, want) {
			t.Errorf("%q is missing in\n%s", want, part)
		}
	}
	if n := strings.Count(part, "<polyline"); n != 1+2+2+1 || strings.Contains(part, "CPU") {
		t.Errorf("%d lines:\n%s", n, part)
	}
	if got := lines([]metrics.Value{0, 2, metrics.None, 1}, 2); !slices.Equal(got, []string{"0.0,49.0 100.0,1.0", "300.0,25.0 300.0,25.0"}) {
		t.Errorf("drawn as %q", got)
	}
	if got := lines([]metrics.Value{0, 0}, 0); !slices.Equal(got, []string{"0.0,49.0 300.0,49.0"}) {
		t.Errorf("nothing is drawn as %q", got)
	}
}

// A page is there without the cluster, and says in place of each part that it cannot be
// asked, and what to do.
func TestAClusterThatIsAway(t *testing.T) {
	v := visit(t)
	v.fake.away = errAway
	for _, path := range []string{"/", "/nodes", "/environments/production"} {
		if answer := v.get(path); answer.Code != http.StatusOK {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
	for _, path := range []string{"/part/environments", "/part/environments/production", "/part/environments/production/revisions", "/part/environments/production/revisions/12", "/part/nodes", "/part/sinks", "/part/alerts"} {
		if said := text(v.get(path).Body.String()); said != "the cluster is not up berth up" {
			t.Errorf("%s: %s", path, said)
		}
	}
	v.fake.away = fault.WithHint(platform.ErrNoWatch, "say where messages go")
	if said := text(v.get("/part/alerts").Body.String()) + text(v.get("/part/glance/alerts").Body.String()); said != "Nothing watches this cluster yet, so nobody is told when something breaks. say where messages go– nobody is told" {
		t.Error(said)
	}
	v.fake.away = errAway
	if said := text(v.get("/part/glance/nodes").Body.String()); said != "! the cluster is not up" {
		t.Error(said)
	}
	if said := text(v.get("/part/environments/production/backups").Body.String()); !strings.Contains(said, "20261126_031700_5a1f") {
		t.Errorf("the bucket is there: %s", said)
	}
}

func TestOnlyWhatServedCanBeGoneBackTo(t *testing.T) {
	v := visit(t)
	table := v.get("/part/environments/production/revisions").Body.String()
	for number, offered := range map[int]bool{11: true, 12: true, 13: false, 14: false} {
		if got := strings.Contains(table, fmt.Sprintf("/rollback?revision=%d", number)); got != offered {
			t.Errorf("revision %d: offered %v, want %v", number, got, offered)
		}
	}
}

// What strangers have written is text on every page, and characters that turn text
// around are gone.
func TestHostileTexts(t *testing.T) {
	v := visit(t)
	bad := hostile + "\x1b[31m\u202e"
	for i := range v.fake.environments {
		e := &v.fake.environments[i]
		e.Warnings, e.Busy, e.Revision.Who, e.Revision.Commit = []string{bad}, bad, bad, bad
		e.Address = "javascript:alert(1)"
		e.Pods[0].Name, e.Pods[0].State, e.Hosts = hostile, hostile, []string{"a", hostile}
	}
	for i := range v.fake.history {
		r := &v.fake.history[i]
		r.Who, r.Commit, r.Image, r.Description = bad, bad, bad, bad
	}
	v.fake.away = fmt.Errorf("%s", bad)
	away := v.get("/part/nodes").Body.String()
	v.fake.away = nil
	pages := map[string]string{"away": away}
	for _, path := range []string{"/part/environments", "/part/environments/production", "/part/environments/production/revisions", "/part/environments/production/revisions/12",
		"/environments/production/logs?search=" + url.QueryEscape(hostile) + "&from=" + url.QueryEscape(hostile)} {
		pages[path] = v.get(path).Body.String()
	}
	for path, page := range pages {
		if !strings.Contains(page, "&lt;img") || strings.Contains(page, "<img src=x") || strings.Contains(page, "<script>") ||
			strings.ContainsAny(page, "\x1b\u202e") || strings.Contains(page, `href="javascript:`) {
			t.Errorf("%s:\n%s", path, page)
		}
	}
}

func TestRollbackAndRestart(t *testing.T) {
	v := visit(t)
	v.fake.hold = make(chan struct{})
	answer := v.post("/environments/production/rollback", url.Values{"revision": {"12"}})
	page, inside := strings.CutPrefix(answer.Header().Get("Location"), v.guard.path)
	if answer.Code != http.StatusSeeOther || !inside || !strings.HasPrefix(page, "/tasks/") {
		t.Fatalf("%d to %s: %s", answer.Code, page, answer.Body)
	}
	part := "/part" + page
	waitFor(t, func() bool { return strings.Contains(v.get(part).Body.String(), "1 of 2 pods ready") })
	if got := v.get(part); got.Header().Get(lastWord) != "" || !strings.Contains(got.Body.String(), "continues when you close this page") {
		t.Errorf("%v %s", got.Header(), got.Body)
	}
	// A second click leads to what is under way.
	if again := v.post("/environments/production/restart", url.Values{}); again.Header().Get("Location") != v.guard.path+page {
		t.Errorf("a second task: %v", again.Header())
	}
	close(v.fake.hold)
	v.tasks.wait()
	got := v.get(part)
	if got.Header().Get(lastWord) == "" || !strings.Contains(text(got.Body.String()), "✓ production serves what revision 12 was, as revision 15.") {
		t.Errorf("%v %s", got.Header(), got.Body)
	}

	v.fake.unwell = &release.Failed{Environment: "production", Revision: 14, Restart: true,
		Reasons: []rollout.Reason{{Pod: "conduit-1", Container: "web", Reason: "CrashLoopBackOff", Message: "it crashes", Log: []string{hostile}, Hint: "correct it"}}}
	page = strings.TrimPrefix(v.post("/environments/production/restart", url.Values{}).Header().Get("Location"), v.guard.path)
	v.tasks.wait()
	body := v.get("/part" + page).Body.String()
	if !strings.Contains(body, "correct it") || !strings.Contains(body, "&lt;img") || strings.Contains(body, "<img src=x") || !strings.Contains(body, "the old pods serve on") {
		t.Error(body)
	}
	if got := strings.Join(v.fake.made(), ", "); got != "rollback production to 12, restart production" {
		t.Errorf("called %s", got)
	}
	if answer := v.post("/environments/production/rollback", url.Values{"revision": {"x"}}); answer.Code != http.StatusNotFound {
		t.Errorf("no revision: %d", answer.Code)
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
}

func TestAges(t *testing.T) {
	now := time.Now()
	for old, want := range map[time.Duration]string{
		0: "just now", 9 * time.Second: "just now", 25 * time.Second: "20 seconds ago", time.Minute: "1 minute ago", 2 * time.Hour: "2 hours ago", 72 * time.Hour: "3 days ago", -3 * time.Hour: "3 hours from now",
	} {
		if got := age(now.Add(-old), now); got != want {
			t.Errorf("%s: got %s, want %s", old, got, want)
		}
	}
	if got := age(time.Time{}, now); got != "never" {
		t.Error(got)
	}
}
