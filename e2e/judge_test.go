//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A revision that answers one request of twenty with an error goes back by itself, within
// 30 seconds of the first of them. Those that are as good as the one before stay.
func testJudge(t *testing.T) {
	running(t)
	folder := t.TempDir()
	for _, name := range []string{"Dockerfile", "main.go"} {
		write(t, filepath.Join(folder, name), readFile(t, filepath.Join("testdata", "hello", name)))
	}
	write(t, filepath.Join(folder, ".env"), "GREETING="+unique("ahoy")+"\n")
	deploy := func(env string) outcome {
		t.Helper()
		yaml := readFile(t, filepath.Join("testdata", "hello", "berth.yaml"))
		write(t, filepath.Join(folder, "berth.yaml"), yaml+"judge: 30s\nenv: "+env+"\n")
		return berth(t, "-C", folder, "deploy", "staging")
	}
	deploy("{MARK: first}").wants(t, 0)

	l := startAsking(t, 50)
	defer l.end()
	time.Sleep(5 * time.Second)
	good := 3
	if *deploys > usualDeploys {
		good = 20
	}
	for i := range good {
		o := deploy(fmt.Sprintf("{MARK: good-%d}", i))
		o.wants(t, 0, "is not clearly worse than revision")
	}
	if sent, failed, _, _ := l.soFar(); failed > 0 {
		t.Errorf("%d of %d requests failed during %d good deploys", failed, sent, good)
	}

	o := deploy("{FAIL_EVERY: \"20\"}")
	o.wants(t, 1, "answers worse than the one before", "were answered 5xx, 0 of ", "serves again")
	sent, failed, first, last := l.soFar()
	t.Logf("%d of %d requests failed, the last %s after the first; it said:\n%s", failed, sent, last.Sub(first).Round(time.Millisecond), o.said)

	var history []struct {
		Status, Description string
		When                time.Time
	}
	mustBerth(t, "-C", folder, "history", "staging", "--json").decode(t, &history)
	bad, back := history[len(history)-2], history[len(history)-1]
	if bad.Status != "failed" || !strings.Contains(bad.Description, "were answered 5xx") || back.Status != "deployed" {
		t.Errorf("the history ends with %+v and %+v", bad, back)
	}
	if took := back.When.Sub(first); took > 30*time.Second {
		t.Errorf("it went back %s after its first error, want 30 s at most", took)
	} else {
		t.Logf("it went back %s after its first error", took.Round(time.Millisecond))
	}
}

// asking is a stream of requests to the application hello, which may fail.
type asking struct {
	stop chan struct{}
	done sync.WaitGroup

	mu           sync.Mutex
	sent, failed int
	first, last  time.Time // of what failed
}

func startAsking(t *testing.T, rate int) *asking {
	t.Helper()
	a := &asking{stop: make(chan struct{})}
	const clients = 5
	for range clients {
		s := newSite(t, "hello.localhost")
		a.done.Go(func() {
			defer s.client.CloseIdleConnections()
			ticker := time.NewTicker(clients * time.Second / time.Duration(rate))
			defer ticker.Stop()
			for {
				select {
				case <-a.stop:
					return
				case <-ticker.C:
					a.ask(s)
				}
			}
		})
	}
	return a
}

func (a *asking) ask(s *site) {
	response, err := s.client.Get(s.url("/"))
	ok := err == nil && response.StatusCode == 200
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent++
	if ok && err == nil {
		return
	}
	a.failed++
	a.last = time.Now()
	if a.first.IsZero() {
		a.first = a.last
	}
}

func (a *asking) soFar() (sent, failed int, first, last time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent, a.failed, a.first, a.last
}

func (a *asking) end() {
	close(a.stop)
	a.done.Wait()
}
