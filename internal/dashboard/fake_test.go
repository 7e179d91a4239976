package dashboard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"berth/internal/alert"
	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/logs"
	"berth/internal/metrics"
	"berth/internal/overview"
	"berth/internal/platform"
	"berth/internal/progress"
	"berth/internal/release"
	"berth/internal/wal"
)

// fake stands in for a cluster and a bucket.
type fake struct {
	mu    sync.Mutex
	calls []string
	// away is why the cluster does not answer, and unwell why a restart fails.
	away, unwell error

	now          time.Time
	environments []overview.Environment
	history      []release.Revision
	// live are the lines that the cluster has, archived those that it had, and come
	// those that were written since.
	live, archived, come []logs.Line
	asked                LogQuery
	// hold, where it is set, is what a rollback waits for.
	hold chan struct{}
}

var application = Application{Name: "conduit", Provider: "local", Environments: []string{"staging", "production"}, BackedUp: []string{"production"}}

// hostile is what would run if any of it became HTML.
const hostile = `<img src=x onerror="window.__hacked=1"><script>window.__hacked=2</script>"'</pre>`

// newFake is a world in which things are as they are on a usual day, and every text of
// somebody else's that a page shows is hostile where it says so.
func newFake(now time.Time) *fake {
	f := &fake{now: now}
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	f.history = []release.Revision{
		{Number: 11, State: release.StateSuperseded, Served: true, When: ago(30 * time.Hour), Who: "mira@laptop", Commit: "1f0c7a2b94d8e35c60a7f1b2c3d4e5f60718293a", Image: "registry.localhost/conduit:1f0c7a2", Description: "deploy registry.localhost/conduit:1f0c7a2 by mira@laptop"},
		{Number: 12, State: release.StateSuperseded, Served: true, When: ago(26 * time.Hour), Who: "jo@ci", Commit: "77aa01b2c3d4e5f60718293a4b5c6d7e8f901234", Image: "registry.localhost/conduit:77aa01b", Description: "deploy registry.localhost/conduit:77aa01b by jo@ci"},
		{Number: 13, State: release.StateFailed, When: ago(5 * time.Hour), Who: "jo@ci", Commit: "c0ffee0011223344556677889900aabbccddeeff", Dirty: true, Image: "registry.localhost/conduit:c0ffee0",
			Description: "deploy registry.localhost/conduit:c0ffee0 by jo@ci: failed: pod conduit-6c9d7f-x2k4q: container web: CrashLoopBackOff: exit code 1: panic: no such table: articles"},
		{Number: 14, State: release.StateDeployed, Served: true, When: ago(5 * time.Hour), Who: "jo@ci", Commit: "77aa01b2c3d4e5f60718293a4b5c6d7e8f901234", Image: "registry.localhost/conduit:77aa01b", Description: "back to 12 after 13 failed, by jo@ci"},
	}
	pod := func(name, workload string, cpu, memory int64) release.Pod {
		return release.Pod{Name: name, Workload: workload, Node: "node-1", State: "Running", Ready: true, Since: ago(5 * time.Hour), Current: true,
			Usage: &kube.Usage{CPU: cpu, Memory: memory << 20}}
	}
	worked := ago(9 * time.Hour)
	f.environments = []overview.Environment{
		{Address: "https://staging.conduit.localhost:8443", Status: release.Status{Environment: "staging", Hosts: []string{"staging.conduit.localhost"}, Database: config.SQLite,
			Deployed: true, Serving: true, Ready: 1, Wanted: 1, Revision: release.Revision{Number: 31, When: ago(40 * time.Minute), Who: "mira@laptop", Commit: "aa55f0c2b94d8e35c60a7f1b2c3d4e5f60718293"},
			Pods: []release.Pod{pod("conduit-5bd9c4-7hq2m", "conduit", 3, 21)}}},
		{Address: "https://conduit.localhost:8443", Status: release.Status{Environment: "production", Hosts: []string{"conduit.localhost", "www.conduit.localhost"}, Database: config.Postgres,
			Deployed: true, Serving: true, Ready: 2, Wanted: 2, Revision: f.history[3],
			Pods:     []release.Pod{pod("conduit-7d9c6b-4xkzp", "conduit", 14, 38), pod("conduit-7d9c6b-m8v2t", "conduit", 11, 36), pod("conduit-postgresql-0", "conduit-postgresql", 22, 112)},
			CronJobs: []release.CronJob{{Name: "conduit-digest", Schedule: "0 6 * * *", TimeZone: "Europe/Berlin", Last: &worked, Succeeded: &worked}},
			Warnings: []string{"revision 13: " + f.history[2].Description}}},
	}
	for i, text := range []string{
		`{"level":"INFO","msg":"listening","port":8000}`,
		`{"level":"INFO","msg":"request","method":"GET","path":"/api/articles","status":200,"latency_ms":4.2}`,
		`{"level":"WARN","msg":"slow query","took_ms":412,"sql":"SELECT * FROM articles ORDER BY created_at"}`,
		`{"level":"INFO","msg":"request","method":"POST","path":"/api/users/login","status":401,"latency_ms":61.8}`,
		`{"level":"DEBUG","msg":"cache miss","key":"tags"}`,
		"panic: runtime error: index out of range [3]\ngoroutine 41 [running]:\nmain.feed(0xc0000b2000)\n\t/src/feed.go:88 +0x1f4",
		`{"level":"ERROR","msg":"request","method":"GET","path":"/api/articles/feed","status":500,"latency_ms":1.1}`,
	} {
		f.live = append(f.live, lineAt(ago(time.Duration(120-i*9)*time.Second), "conduit-7d9c6b-4xkzp", text))
	}
	f.archived = []logs.Line{
		lineAt(ago(50*time.Minute), "conduit-6c9d7f-x2k4q", `{"level":"ERROR","msg":"no such table: articles","needle":"of the pod that is gone"}`),
		lineAt(ago(40*time.Minute), "conduit-6c9d7f-x2k4q", "chaff"),
	}
	return f
}

func lineAt(at time.Time, pod, text string) logs.Line {
	l := logs.Line{Time: at, Pod: pod, Container: "web", Node: "node-1"}
	l.Level, l.Message, l.Fields = logs.Parse(text)
	return l
}

func (f *fake) called(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
}

func (f *fake) made() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) Environments(_ context.Context, names ...string) ([]overview.Environment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	if len(names) == 0 {
		return slices.Clone(f.environments), nil
	}
	for _, e := range f.environments {
		if e.Environment == names[0] {
			return []overview.Environment{e}, nil
		}
	}
	return []overview.Environment{{Status: release.Status{Environment: names[0]}}}, nil
}

func (f *fake) History(_ context.Context, environment string) ([]release.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if environment == "staging" {
		return nil, release.ErrNotDeployed
	}
	return slices.Clone(f.history), f.away
}

func (f *fake) Message(_ context.Context, commit string) string {
	if commit == f.history[3].Commit {
		return "Jo, 2026-11-26\n\nfeed: page through articles\n\n" + hostile
	}
	return ""
}

func (f *fake) Nodes(context.Context) ([]overview.Node, error) {
	return []overview.Node{
		{Name: "node-1", Ready: true, State: "ready", Version: "v1.37.2", CPUs: "2", Memory: "3.8 GiB", Since: f.now.Add(-72 * time.Hour), Usage: &kube.Usage{CPU: 212, Memory: 1402 << 20}},
		{Name: "node-2", Ready: true, State: "ready", Version: "v1.37.2", CPUs: "2", Memory: "3.8 GiB", Since: f.now.Add(-50 * time.Hour), Usage: &kube.Usage{CPU: 96, Memory: 810 << 20}},
	}, f.away
}

func (f *fake) Sinks(context.Context) (*overview.Logs, error) {
	return &overview.Logs{OK: true, Agents: []platform.AgentStatus{{Node: "node-1", Sinks: []platform.SinkStatus{
		{Name: "awss3", State: "ok", Sent: 48_211, LastSent: f.now.Add(-8 * time.Second)},
	}}}}, f.away
}

func (f *fake) Alerts(context.Context) (*alert.Report, error) {
	return &alert.Report{
		Problems:     []alert.Problem{{Title: "production: the volume of conduit-postgresql-0 is 91 % full, and will be full in 2 days", Kind: "volume", Since: f.now.Add(-3 * time.Hour), Told: f.now.Add(-3 * time.Hour)}},
		Suspected:    []alert.Problem{{Title: "staging: conduit is not ready", Kind: "pod", Since: f.now.Add(-9 * time.Second)}},
		Destinations: []alert.Delivery{{Name: "slack", LastSent: f.now.Add(-3 * time.Hour)}, {Name: "ntfy"}},
	}, f.away
}

func (f *fake) Backups(_ context.Context, environment string) (*Backups, error) {
	made := func(id string, at time.Time, verified bool) backup.Entry {
		e := backup.Entry{Manifest: backup.Manifest{ID: id, Started: at, Contents: backup.Contents{Tables: map[string]backup.Table{"articles": {Rows: 18_420}}}}}
		e.Dump.Bytes = 4_812_331
		if verified {
			e.Verified = &backup.Verification{ID: id, OK: true, Time: at.Add(time.Minute)}
		}
		return e
	}
	reached, due := f.now.Add(-3*time.Second), f.now.Add(11*time.Hour)
	b := &Backups{Streams: true, Entries: []backup.Entry{
		made("20261126_031700_5a1f", f.now.Add(-9*time.Hour), true), made("20261125_031700_c2d0", f.now.Add(-33*time.Hour), true), made("20261124_170233_77be", f.now.Add(-44*time.Hour), false),
	}, Windows: []wal.Window{{From: f.now.Add(-7 * 24 * time.Hour), To: reached, Verified: f.now.Add(-9 * time.Hour), Live: true}}}
	b.Backup = overview.Backup{Environment: environment, Schedule: "17 3 * * *", OK: true, Due: &due, Stream: &overview.Stream{OK: true, Reached: &reached},
		Last: &overview.LastBackup{ID: b.Entries[0].ID, Made: b.Entries[0].Started, Verified: true, Rows: 18_420, Bytes: 4_812_331}}
	return b, nil
}

func (f *fake) Logs(ctx context.Context, _ string, q LogQuery, r progress.Reporter, each func(logs.Line) error) error {
	f.mu.Lock()
	f.asked = q
	next := len(f.come)
	all := slices.Clone(f.live)
	if q.Archive {
		all = append(slices.Clone(f.archived), all...)
	}
	f.mu.Unlock()
	if q.Archive {
		_ = progress.Run(r, "Read the archive", func(step progress.Step) error { step.Detail("3 objects, 1 MB"); return nil })
		r.Note("lines of pods that are gone come from the archive")
	}
	for _, l := range all {
		if q.Takes(l) {
			if err := each(l); err != nil {
				return err
			}
		}
	}
	for q.Follow && ctx.Err() == nil {
		f.mu.Lock()
		some := f.come[next:]
		next = len(f.come)
		f.mu.Unlock()
		for _, l := range some {
			if q.Takes(l) {
				if err := each(l); err != nil {
					return err
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return f.away
}

// write brings a line to those who follow.
func (f *fake) write(l logs.Line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.come = append(f.come, l)
}

// Metrics are of an hour in which nothing was asked for a while, and then some requests
// failed.
func (f *fake) Metrics(context.Context, string, time.Duration) (*metrics.Environment, error) {
	e := &metrics.Environment{From: f.now.Add(-time.Hour), To: f.now, StepSeconds: 60}
	for i := range 60 {
		rate, failed, slow := metrics.Value(20+i%7), metrics.Value(0), metrics.Value(0.024)
		switch {
		case i > 20 && i < 26:
			rate, failed, slow = 0, metrics.None, metrics.None
		case i > 50:
			failed, slow = 0.05, 0.25
		}
		e.Rate, e.Errors, e.P99 = append(e.Rate, rate), append(e.Errors, failed), append(e.P99, slow)
		e.Memory = append(e.Memory, metrics.Value(180<<20+i<<18))
		e.CPU = append(e.CPU, metrics.None) // not measured
	}
	return e, f.away
}

func (f *fake) Secrets(context.Context, string) []string { return []string{"correct-horse-battery"} }

func (f *fake) Rollback(_ context.Context, environment string, revision int, r progress.Reporter) (release.Revision, error) {
	f.called(fmt.Sprintf("rollback %s to %d", environment, revision))
	err := progress.Run(r, fmt.Sprintf("Roll %s back to revision %d", environment, revision), func(step progress.Step) error {
		step.Detail("1 of 2 pods ready")
		if f.hold != nil {
			<-f.hold
		}
		return f.unwell
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.history[len(f.history)-1].State = release.StateRolledBack
		f.history = append(f.history, release.Revision{Number: 15, State: release.StateDeployed, Served: true, When: f.now, Who: "mira@laptop", Description: fmt.Sprintf("rollback to %d by mira@laptop", revision)})
		f.environments[1].Revision = f.history[4]
	}
	return release.Revision{Number: 15}, err
}

func (f *fake) Restart(_ context.Context, environment string, _ progress.Reporter) (release.Restarted, error) {
	f.called("restart " + environment)
	return release.Restarted{Environment: environment, Revision: 14}, f.unwell
}

var errAway = fault.WithHint(errors.New("the cluster is not up"), "berth up")
