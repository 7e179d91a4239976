//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth/internal/browsertest"
)

// Chromium looks at the dashboard while staging gets a new revision, follows a line as
// it is written, goes back by a click, and finds that line in the archive, as its pod is
// gone.
func testDashboard(t *testing.T) {
	c := running(t)
	before := serving(t, "staging")
	mustBerth(t, "-C", marked(t, unique("seen")), "deploy", "staging")
	made := serving(t, "staging")
	gone := c.pods(t, "staging", app)[0].Name

	o := begin(t, "dashboard", "--no-browser")
	o.until("?token=")
	o.mu.Lock()
	address := regexp.MustCompile(`http://127\.0\.0\.1:\S+`).FindString(o.said.String())
	o.mu.Unlock()
	base, _, _ := strings.Cut(address, "?")
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	p := browsertest.Start(t)
	p.Open(t, address, "1 of 1 ready")
	p.Until(t, fmt.Sprintf(`document.querySelector('.card a[href$="/environments/staging/revisions/%d"]') !== null`, made))
	p.Shows(t, "lines arrive")

	marker := unique("marker")
	p.Open(t, base+"environments/staging/logs", "Search")
	p.Until(t, `document.getElementById("log").dataset.open === "true"`)
	s := newSite(t, staging)
	request, err := s.request("GET", "/api/articles/"+marker, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := s.client.Do(request); err != nil {
		t.Fatal(err)
	} else {
		response.Body.Close()
	}
	p.Shows(t, marker)

	p.Open(t, base+"environments/staging", gone)
	p.Shows(t, "serves")
	p.Click(t, fmt.Sprintf(`a[href$="/environments/staging/rollback?revision=%d"]`, before))
	p.Shows(t, fmt.Sprintf("Roll staging back to revision %d?", before))
	p.Click(t, "button.danger")
	p.Until(t, `document.querySelector(".success, .problem") !== null && document.querySelector(".steps") !== null`)
	p.Shows(t, fmt.Sprintf("staging serves what revision %d was, as revision %d.", before, made+1))
	if got := serving(t, "staging"); got != made+1 {
		t.Errorf("revision %d serves, want %d", got, made+1)
	}

	waitFor(t, "the pod to go", time.Minute, func() error {
		for _, pod := range c.pods(t, "staging", app) {
			if pod.Name == gone {
				return errors.New("it is still there")
			}
		}
		return nil
	})
	search := url.Values{"since": {"between"}, "from": {time.Now().Add(-time.Hour).Format("2006-01-02T15:04")}, "search": {marker}}
	took := waitFor(t, "the archived line on the page", 90*time.Second, func() error {
		p.Open(t, base+"environments/staging/logs?"+search.Encode(), "Search")
		p.Until(t, `document.getElementById("log").dataset.ended === "true"`)
		if text := p.Text(t, `document.getElementById("log").textContent`); !strings.Contains(text, marker) || !strings.Contains(text, gone) {
			return fmt.Errorf("it shows %q, and says %q", text, p.Text(t, `document.getElementById("logstate").textContent`))
		}
		return nil
	})
	t.Logf("found on the page %s after its pod had gone", took)
	p.Unharmed(t, u.Host)
	o.signal(syscall.SIGINT)
	o.end().wants(t, 0)
}

// serving is the revision that serves an environment.
func serving(t *testing.T, environment string) int {
	t.Helper()
	var all []struct {
		Revision int
		Status   string
	}
	mustBerth(t, "history", environment, "--json").decode(t, &all)
	for _, r := range all {
		if r.Status == "deployed" {
			return r.Revision
		}
	}
	t.Fatalf("nothing serves %s", environment)
	return 0
}
