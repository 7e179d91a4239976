//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Web, worker, cron job and migrations are one revision. Deploys change them
// together under load, a quarter of them fails in the release command, a quarter
// in the worker, and nothing is lost.
func testTogether(t *testing.T) {
	c := running(t)
	folder := flask(t)
	deploy := func(mark, migration, worker string) outcome {
		edit(t, folder, func(config object) {
			set(config, mark, "env", "MARK")
			set(config, migration, "env", "MIGRATION")
			set(config, worker, "processes", "worker", "env", "WORKER")
		})
		return berth(t, "-C", folder, "deploy", "production")
	}
	deploy("first", "", "").wants(t, 0)
	began := time.Now()
	site := newSite(t, "flask.localhost")
	use := startUse(t, site)

	now := "first"
	for i, kind := range shuffled(*deploys) {
		mark := fmt.Sprintf("%d-%s", i, kind)
		switch kind {
		case "good":
			deploy(mark, "", "").wants(t, 0)
			now = mark
		case "release":
			deploy(mark, "broken", "").wants(t, 1, "migrations: column notes.author cannot be added")
		case "worker":
			deploy(mark, "", "broken").wants(t, 1, "worker: there is no queue named")
		}
		for _, component := range []string{"web", "worker"} {
			for _, pod := range c.pods(t, "production", "app.kubernetes.io/instance=flask,app.kubernetes.io/component="+component) {
				if got := variable(pod, "MARK"); got != now || !ready(&pod) {
					t.Errorf("after deploy %s: %s has mark %q, ready %v; want %q", mark, pod.Name, got, ready(&pod), now)
				}
			}
		}
	}
	use.end(t)

	// Deploys kept it from working at times, so that it has some catching up to do.
	waitFor(t, "the worker to finish", time.Minute+time.Duration(use.jobs)*100*time.Millisecond, func() error {
		var jobs struct{ Total, Done, Twice int }
		site.call(t, "GET", "/jobs", nil, &jobs)
		if jobs.Done < jobs.Total || jobs.Total < use.jobs || jobs.Twice > 0 {
			return fmt.Errorf("%d jobs were acknowledged; %+v", use.jobs, jobs)
		}
		return nil
	})
	waitFor(t, "the last tick to end", 2*time.Minute, func() error { return ticked(t, site, began) })
}

// shuffled is what becomes of each of a number of deploys, in any order.
func shuffled(count int) []string {
	kinds := make([]string, count)
	for i := range kinds {
		kinds[i] = []string{"release", "worker", "good", "good"}[i%4]
	}
	rand.Shuffle(count, func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	return kinds
}

// ticked sees that the cron job ran once for every minute since a time, to its
// end. A Job of a CronJob is named by the minute that it is for.
func ticked(t *testing.T, site *site, since time.Time) error {
	t.Helper()
	var ticks []struct {
		Name  string
		Ended bool
	}
	site.call(t, "GET", "/ticks", nil, &ticks)
	var minutes []int64
	for _, tick := range ticks {
		minute, err := strconv.ParseInt(tick.Name[strings.LastIndexByte(tick.Name, '-')+1:], 10, 64)
		if err != nil {
			t.Fatalf("the tick %q names no minute", tick.Name)
		}
		if !tick.Ended && minute < time.Now().Unix()/60-2 {
			t.Errorf("the tick %s was killed", tick.Name)
		}
		minutes = append(minutes, minute)
	}
	slices.Sort(minutes)
	first, last := since.Unix()/60+1, time.Now().Unix()/60-1
	for minute := first; minute <= last; minute++ {
		if n := len(slices.DeleteFunc(slices.Clone(minutes), func(m int64) bool { return m != minute })); n != 1 {
			return fmt.Errorf("minute %d of %d to %d ticked %d times", minute, first, last, n)
		}
	}
	t.Logf("%d ticks in %d minutes, each once", last-first+1, last-first+1)
	return nil
}

// use is a steady stream of requests to the Flask application.
type use struct {
	stop    context.CancelFunc
	clients sync.WaitGroup

	mu         sync.Mutex
	sent, jobs int
	lost       []string
}

// startUse has four clients read, write and queue jobs.
func startUse(t *testing.T, s *site) *use {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	u := &use{stop: stop}
	t.Cleanup(stop)
	for range 4 {
		u.clients.Go(func() {
			for ctx.Err() == nil {
				u.request(s)
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	return u
}

func (u *use) request(s *site) {
	method, path, body, job := "GET", "/healthz", any(nil), 0
	switch pick := rand.IntN(100); {
	case pick < 70:
	case pick < 90:
		method, path, body = "POST", "/notes", object{"text": unique("note")}
	default:
		method, path, body, job = "POST", "/jobs", object{"payload": unique("job")}, 1
	}
	err := try(s, method, path, body)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sent++
	if err == nil {
		u.jobs += job
		return
	}
	u.lost = append(u.lost, fmt.Sprintf("%s %s %s: %v", time.Now().Format(time.TimeOnly), method, path, err))
}

func (u *use) end(t *testing.T) {
	t.Helper()
	u.stop()
	u.clients.Wait()
	t.Logf("%d requests, %d jobs acknowledged, %d lost", u.sent, u.jobs, len(u.lost))
	if len(u.lost) > 0 {
		t.Errorf("lost requests:\n%s", strings.Join(u.lost[:min(10, len(u.lost))], "\n"))
	}
}
