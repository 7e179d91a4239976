package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"berth/internal/alert"
	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/release"
)

// TestDashboard serves one as the command does, until it is interrupted.
func TestDashboard(t *testing.T) {
	w := newShop(t)
	w.api(t)
	w.environ = told
	w.watch = &alert.Report{Problems: []alert.Problem{{Title: "production: web is in a crash loop", Kind: "pod"}}}
	serving := release.Status{Deployed: true, Serving: true, Ready: 1, Wanted: 1}
	staging, production := serving, serving
	staging.Environment, production.Environment = "staging", "production"
	w.status = map[string]release.Status{"staging": staging, "production": production}
	w.history = []release.Revision{{Number: 1, State: release.StateSuperseded, Served: true}, {Number: 2, State: release.StateDeployed, Served: true, Who: "mira@laptop"}}
	w.lines, w.past = nil, nil
	past, _ := archivedWorld()
	w.past = past.past

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.File), []byte(w.project), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	said, out := io.Pipe()
	var errs bytes.Buffer
	a := &app{streams: console.Streams{In: strings.NewReader(""), Out: out, Err: &errs}, environ: w.environ, parts: w.parts()}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"--dir", dir, "dashboard", "--no-browser"}, a) }()
	text := make([]byte, 1000)
	address := ""
	for address == "" {
		n, err := said.Read(text)
		if err != nil {
			t.Fatal(err, errs.String())
		}
		address = regexp.MustCompile(`http://127\.0\.0\.1:\S+`).FindString(string(text[:n]))
	}
	go io.Copy(io.Discard, said) //nolint:errcheck // nobody reads it

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	get := func(address string) string {
		t.Helper()
		answer, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	get(address)
	base, _, _ := strings.Cut(address, "?")
	from := url.Values{"since": {"between"}, "from": {time.Now().Add(-time.Hour).Format("2006-01-02T15:04")}}
	for path, want := range map[string]string{
		"":                                       "Environments",
		"part/environments":                      "https://shop.localhost:8443",
		"part/environments/production":           "1 of 1 ready",
		"part/nodes":                             "node-1",
		"part/sinks":                             "bucket",
		"part/alerts":                            "production: web is in a crash loop",
		"part/glance/alerts":                     "production: web is in a crash loop",
		"part/environments/production/revisions": "mira@laptop",
		"part/environments/production/revisions/1":          "revision=1",
		"part/environments/production/backups":              "20260101_030405_900d",
		"environments/staging/logs/stream?" + from.Encode(): `"text":"rotated"`,
	} {
		if body := get(base + path); !strings.Contains(body, want) {
			t.Errorf("%s: want %q in\n%s", path, want, body)
		}
	}
	form := regexp.MustCompile(`name="form" value="(\w+)"`).FindStringSubmatch(get(base + "environments/production/rollback?revision=1"))
	u, err := url.Parse(base)
	if err != nil || form == nil {
		t.Fatal(err, form)
	}
	for path, values := range map[string]url.Values{"rollback": {"form": form[1:], "revision": {"1"}}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"environments/production/"+path, strings.NewReader(values.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://"+u.Host)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || !strings.Contains(answer.Request.URL.Path, "/tasks/") {
			t.Errorf("%s: %s at %s", path, answer.Status, answer.Request.URL.Path)
		}
	}
	interrupt()
	if status := <-ended; status != succeeded || errs.Len() > 0 {
		t.Errorf("status %d, and it says %s", status, errs.String())
	}
	if w.mu.Lock(); !strings.Contains(strings.Join(w.calls, ","), "rollback production") {
		t.Errorf("called %v", w.calls)
	}
	w.mu.Unlock()

	w.berth(t, "dashboard", "--port", "70000").wants(t, misused, "70000 is not a port")
	w.berth(t, "dashboard", "--port", u.Port(), "extra").wants(t, misused, "takes no argument")
}
