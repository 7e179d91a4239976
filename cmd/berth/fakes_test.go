package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"berth/internal/alert"
	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/logs"
	"berth/internal/metrics"
	"berth/internal/platform"
	"berth/internal/preview"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/digitalocean"
	"berth/internal/provider/existing"
	"berth/internal/provider/existing/apitest"
	"berth/internal/provider/local"
	"berth/internal/rehearsal"
	"berth/internal/release"
	"berth/internal/session"
	"berth/internal/traffic"
	"berth/internal/wal"
)

// world stands in for a provider, the platform and the releases. It notes what
// is called, in order.
type world struct {
	mu    sync.Mutex
	calls []string
	// project is the berth.yaml, environ the environment, and config what both say
	// once they are read.
	project string
	// dotEnv is the .env.
	dotEnv  string
	environ []string
	config  *config.Config
	// fail makes the call of this name fail.
	fail map[string]error

	cluster *provider.Cluster
	// rooted makes the provider one that takes root.
	rooted  bool
	checks  []provider.Check
	status  map[string]release.Status
	history []release.Revision
	lines   []logs.Line
	given   release.Given
	// past are the archived lines, and asked the query for them.
	past  []logs.Line
	asked logs.Query

	// scheduled is since when backups are, and archived what there is.
	scheduled time.Time
	archived  []backup.Entry
	// database is the version of PostgreSQL that serves, and kept what is of before.
	database int
	kept     []release.KeptServer
	// windows are the moments that can be reached, and streamed what the stream said.
	windows  []wal.Window
	streamed *wal.State
	// otherClaims are the volumes of other applications.
	otherClaims []string
	// agents are the log agents.
	agents []platform.AgentStatus
	// followed are the environments that the log agents were told to read.
	followed []string
	// watch is what the watch sees; nil where there is none.
	watch *alert.Report
	// measured is how keeping metrics is doing; nil where none are kept.
	measured *platform.MetricsStatus
	// rehearsal is what a rehearsal finds.
	rehearsal rehearsal.Report
	// previews are those that are there, and made what was wanted of the last one.
	previews []preview.Preview
	made     preview.Wanted
}

func newWorld() *world {
	working := []platform.AgentStatus{{Node: "node-1", Sinks: []platform.SinkStatus{{Name: "awss3", State: "ok", Sent: 7}}}}
	return &world{project: tiny, agents: working, fail: map[string]error{}, cluster: &provider.Cluster{
		Name: "local", REST: &rest.Config{}, Kubeconfig: "/state/admin.yaml", IngressClass: "nginx",
		Ingress: &provider.Ingress{HTTP: "127.0.0.1:8080", HTTPS: "127.0.0.1:8443"}, Authority: authority{},
	}}
}

func (w *world) call(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, name)
	return w.fail[name]
}

func (w *world) parts() parts {
	return parts{
		provider: func(c *config.Config) (provider.Provider, error) { return w.opened(c, fakeProvider{w}) },
		sudo: func(args, _, _ []string, _ bool) error {
			return errors.Join(w.call("sudo "+strings.Join(args[2:], " ")), errors.New("declined"))
		},
		install: func(context.Context, *provider.Cluster, *config.Config, progress.Reporter) error {
			return w.call("install")
		},
		remove: func(context.Context, *provider.Cluster, *config.Config, progress.Reporter) error {
			return w.call("remove platform")
		},
		otherClaims: func(context.Context, *provider.Cluster, *config.Config) ([]string, error) {
			return slices.Clone(w.otherClaims), w.fail["claims"]
		},
		reach: func(_ context.Context, _ *provider.Cluster, hosts []string, health config.Health, _ progress.Reporter) error {
			return w.call("reach " + strings.Join(hosts, " ") + health.Path)
		},
		releases: func(*provider.Cluster, *config.Config) (releases, error) { return fakeReleases{w}, nil },
		sessions: func(_ *provider.Cluster, _, environment string) (sessions, error) {
			return fakeSessions{w, environment}, nil
		},
		backups: func(_ *provider.Cluster, _ *config.Config, environment string) (backups, error) {
			return fakeBackups{w, environment}, nil
		},
		agent:   func(*provider.Cluster, *config.Config) (logAgent, error) { return fakeAgent{w}, nil },
		watch:   func(*provider.Cluster, *config.Config) (watcher, error) { return fakeWatch{w}, nil },
		metrics: func(*provider.Cluster, *config.Config) (keptMetrics, error) { return fakeMetrics{w}, nil },
		archive: func(provider.Bucket, *config.Config, string) (archive, error) { return fakeArchive{w}, nil },
		logs:    func(provider.Bucket, *config.Config, string) (logArchive, error) { return fakeLogArchive{w}, nil },
		rehearsals: func(_ *provider.Cluster, _ *config.Config, environment string, from rehearsal.Sources) (rehearsals, error) {
			return fakeRehearsals{w, environment, from}, nil
		},
		previews: func(*provider.Cluster, *config.Config) (previews, error) { return fakePreviews{w}, nil },
	}
}

type authority struct{}

func (authority) Certificate([]string) ([]byte, []byte, error) { return nil, nil, errors.New("unused") }
func (authority) File() string                                 { return "/state/ca.crt" }

type fakeProvider struct{ *world }

// opened notes what berth.yaml says of a provider that stands in for its.
func (w *world) opened(c *config.Config, p provider.Provider) (provider.Provider, error) {
	w.config = c
	return p, nil
}

// Traits are those of the provider that it stands in for.
func (p fakeProvider) Traits() provider.Traits {
	switch p.config.Provider {
	case "digitalocean":
		return digitalocean.Traits(p.config)
	case "existing":
		return existing.Traits(p.config)
	}
	return local.Traits()
}

func (p fakeProvider) NeedsRoot() bool { return p.rooted }

func (p fakeProvider) Init(_ context.Context, r progress.Reporter) error {
	return progress.Run(r, "Make the cluster", func(progress.Step) error { return p.call("init") })
}

func (p fakeProvider) Cluster(context.Context) (*provider.Cluster, error) {
	if p.cluster == nil {
		return nil, provider.ErrNotUp
	}
	return p.cluster, nil
}

func (p fakeProvider) Publish(_ context.Context, b provider.Build, _ progress.Reporter) (string, error) {
	return "local/" + b.Name + ":1", p.call("publish")
}

func (p fakeProvider) Scale(_ context.Context, s provider.Scale, _ progress.Reporter) error {
	return p.call("scale " + s.Size)
}

func (p fakeProvider) Bucket(context.Context) (provider.Bucket, error) {
	return provider.Bucket{}, p.call("bucket")
}

func (p fakeProvider) Destroy(context.Context, progress.Reporter) ([]string, error) {
	return []string{"the packages"}, p.call("destroy")
}

func (p fakeProvider) Stop(context.Context, progress.Reporter) error { return p.call("stop") }

func (p fakeProvider) Purge(context.Context, progress.Reporter) ([]string, error) {
	return []string{"the packages"}, p.call("purge")
}

func (p fakeProvider) Check(context.Context) []provider.Check { return p.checks }

type fakeReleases struct{ *world }

func (f fakeReleases) Free(context.Context, string) error { return f.fail["free"] }

func (f fakeReleases) Deploy(_ context.Context, environment, image string, r progress.Reporter) (release.Revision, error) {
	err := progress.Run(r, "Deploy "+environment, func(progress.Step) error { return f.call("deploy " + environment + " " + image) })
	return release.Revision{Number: 2, Image: image}, err
}

func (f fakeReleases) DeployForward(_ context.Context, environment, image string, _ progress.Reporter) (release.Revision, error) {
	return release.Revision{Number: 2, Image: image}, f.call("deploy forward " + environment + " " + image)
}

func (f fakeReleases) Promotable(_ context.Context, environment string) (string, error) {
	return "ghcr.io/me/tiny@sha256:0a", f.call("promotable of " + environment)
}

func (f fakeReleases) Rollback(_ context.Context, environment string, revision int, _ progress.Reporter) (release.Revision, error) {
	return release.Revision{Number: 3, Image: "old"}, f.call("rollback " + environment)
}

func (f fakeReleases) History(context.Context, string) ([]release.Revision, error) {
	return f.history, f.fail["history"]
}

func (f fakeReleases) Requests(_ context.Context, environment string, during time.Duration, _ progress.Reporter) ([]release.Requests, error) {
	fast, slow := 0.025, 0.5
	return []release.Requests{
		{Revision: 9, Pods: 2, Seconds: during.Seconds(), Requests: 500, Classes: map[string]int{"2xx": 480, "4xx": 15, "5xx": 5}, P50: &fast, P99: &slow, Most: 10},
		{Revision: 8, Pods: 1, Seconds: during.Seconds(), Requests: 2, Classes: map[string]int{"2xx": 2}, P50: &fast, Most: 10},
		{Revision: 7, Pods: 1, Seconds: during.Seconds(), Classes: map[string]int{}},
	}, f.call("count " + environment + " " + during.String())
}

func (f fakeReleases) ByRevision(_ context.Context, environment string, pods map[string]traffic.Endpoint, during time.Duration) ([]release.Requests, error) {
	all, err := f.Requests(context.Background(), environment, during, nil)
	all[2].Revision, all[2].Requests = 0, 1
	if len(pods) == 0 {
		all = nil
	}
	return all, err
}

func (f fakeReleases) Status(_ context.Context, environment string) (release.Status, error) {
	return f.status[environment], f.fail["status"]
}

func (f fakeReleases) Logs(_ context.Context, _ string, o release.LogOptions, each func(logs.Line) error) error {
	held := logs.Held{}
	for _, line := range f.lines {
		if _, some := held[line.Of()]; !some {
			held[line.Of()] = line.Time
		}
	}
	lines := f.lines
	if o.Past != nil {
		lines = append(slices.Collect(o.Past(held)), lines...)
	}
	for _, line := range lines {
		if err := each(line); err != nil {
			return err
		}
	}
	return f.fail["logs"]
}

func (f fakeReleases) Remove(_ context.Context, environment string, _ progress.Reporter) error {
	return f.call("remove " + environment)
}

func (f fakeReleases) Pause(ctx context.Context, environment string, _ progress.Reporter, work func(context.Context) error) (time.Duration, error) {
	if err := f.call("pause " + environment); err != nil {
		return 0, err
	}
	err := work(ctx)
	return 1500 * time.Millisecond, errors.Join(err, f.call("start "+environment))
}

func (f fakeReleases) DatabaseVersion(context.Context, string) (int, error) {
	return f.database, f.fail["database"]
}

func (f fakeReleases) KeptServers(context.Context, string) ([]release.KeptServer, error) {
	return f.kept, nil
}

func (f fakeReleases) UpgradeDatabase(ctx context.Context, environment string, u release.Upgrade, _ progress.Reporter) (release.Upgraded, error) {
	done := release.Upgraded{From: f.database, To: u.To, Outage: 1500 * time.Millisecond, Already: f.database == u.To}
	if err := f.call(strings.TrimSpace(fmt.Sprintf("start PostgreSQL %d %s", u.To, u.Image))); err != nil || done.Already {
		return done, err
	}
	if err := u.Rehearse(ctx, "new"); err != nil {
		return done, err
	}
	if err := f.call("pause " + environment); err != nil {
		return done, err
	}
	return done, errors.Join(u.Move(ctx, "new"), f.call("switch "+environment))
}

func (f fakeReleases) DatabaseBack(_ context.Context, environment string, _ progress.Reporter) (release.Upgraded, error) {
	return release.Upgraded{From: f.database, To: f.kept[0].Version, Outage: 1500 * time.Millisecond}, f.call("switch back " + environment)
}

func (f fakeReleases) ForgetDatabases(_ context.Context, environment string, _ progress.Reporter) ([]int, error) {
	return []int{17}, f.call("forget databases of " + environment)
}

func (f fakeReleases) Restart(_ context.Context, environment, process string, _ progress.Reporter) (release.Restarted, error) {
	return release.Restarted{Environment: environment, Revision: 4, Processes: []string{"web", "worker"}},
		f.call("restart " + environment + " " + process)
}

func (f fakeReleases) Given(_ context.Context, environment, _ string) (release.Given, error) {
	return f.given, f.call("given " + environment)
}

func (f fakeReleases) Secrets(_ context.Context, environment string) []string {
	return []string{"secret of " + environment}
}

type fakeRehearsals struct {
	*world
	environment string
	from        rehearsal.Sources
}

func (f fakeRehearsals) Sweep(context.Context, progress.Reporter) error {
	return f.fail["sweep"]
}

// Run asks its sources, as the real one does.
func (f fakeRehearsals) Run(ctx context.Context, image string, _ progress.Reporter) (*rehearsal.Report, error) {
	if err := f.call("rehearse " + f.environment + " " + image); err != nil {
		return nil, err
	}
	entry, err := f.from.Backup(ctx)
	if err != nil {
		return nil, err
	}
	report := f.rehearsal
	report.Environment, report.New, report.Backup.ID = f.environment, image, entry.ID
	return &report, f.from.Log(ctx, time.Now().Add(-time.Hour), func(logs.Line) error { return nil })
}

type fakePreviews struct{ *world }

func (f fakePreviews) List(context.Context) ([]preview.Preview, error) {
	return f.previews, f.fail["previews"]
}

func (f fakePreviews) Find(_ context.Context, name string) (*preview.Preview, error) {
	for _, p := range f.previews {
		if p.Branch == name || p.Environment == name {
			return &p, nil
		}
	}
	return nil, f.fail["previews"]
}

func (f fakePreviews) Admit(context.Context, string) error { return f.fail["admit"] }

// Make asks for a backup and seeds, as the real one does.
func (f fakePreviews) Make(ctx context.Context, wanted preview.Wanted, _ progress.Reporter) (*preview.Preview, release.Revision, error) {
	f.made = wanted
	p := &preview.Preview{Branch: wanted.Branch, Environment: "shop-preview-" + wanted.Branch, Host: wanted.Branch + ".preview.shop.localhost", Expires: time.Now().Add(time.Hour)}
	entry, err := wanted.Backup(ctx)
	if err != nil {
		return nil, release.Revision{}, err
	}
	p.Data = entry.ID
	if err := f.call("preview " + p.Environment + " of " + wanted.Image + ", removed by " + wanted.Expirer); err != nil {
		return p, release.Revision{}, err
	}
	if wanted.Seed != nil {
		err = wanted.Seed(ctx, p)
	}
	return p, release.Revision{Number: 1, Image: wanted.Image}, err
}

func (f fakePreviews) Remove(_ context.Context, p *preview.Preview, _ progress.Reporter) error {
	return f.call("remove preview " + p.Environment)
}

type fakeWatch struct{ *world }

func (f fakeWatch) Install(_ context.Context, image string, to []alert.Destination, secrets []string, _ progress.Reporter) error {
	f.watch = &alert.Report{}
	return f.call(fmt.Sprintf("install watch %s for %d destinations, %d secrets", image, len(to), len(secrets)))
}

func (f fakeWatch) Remove(context.Context, progress.Reporter) error {
	if f.watch == nil {
		return nil
	}
	f.watch = nil
	return f.call("remove watch")
}

func (f fakeWatch) Status(context.Context) (*alert.Report, error) {
	if f.watch == nil {
		return nil, platform.ErrNoWatch
	}
	return f.watch, f.fail["watch"]
}

func (f fakeWatch) Test(context.Context) ([]alert.Trial, error) {
	if f.watch == nil {
		return nil, platform.ErrNoWatch
	}
	var trials []alert.Trial
	for _, d := range f.watch.Destinations {
		trials = append(trials, alert.Trial{Name: d.Name, Problem: d.Problem})
	}
	return trials, f.call("test alerts")
}

type fakeMetrics struct{ *world }

func (f fakeMetrics) Install(_ context.Context, image string, _ progress.Reporter) error {
	f.measured = &platform.MetricsStatus{}
	return f.call("install metrics " + image)
}

func (f fakeMetrics) Remove(context.Context, progress.Reporter) error {
	if f.measured == nil {
		return nil
	}
	f.measured = nil
	return f.call("remove metrics")
}

func (f fakeMetrics) Status(context.Context) (*platform.MetricsStatus, error) {
	if f.measured == nil {
		return nil, platform.ErrNoMetrics
	}
	return f.measured, f.fail["metrics"]
}

// Environment is one that gets busier, and has nothing to tell of the first minute.
func (f fakeMetrics) Environment(_ context.Context, environment string, during time.Duration) (*metrics.Environment, error) {
	if f.measured == nil {
		return nil, platform.ErrNoMetrics
	}
	to := time.Date(2026, 11, 26, 14, 3, 0, 0, time.Local)
	return &metrics.Environment{
		From: to.Add(-during), To: to, StepSeconds: during.Seconds() / 5,
		Rate: []metrics.Value{metrics.None, 10, 20, 30, 40}, Errors: []metrics.Value{metrics.None, 0, 0, 0.02, 0.01}, P99: []metrics.Value{metrics.None, 0.1, 0.1, 0.25, 0.2},
		CPU: []metrics.Value{metrics.None, 0.05, 0.05, 0.1, 0.2}, Memory: []metrics.Value{metrics.None, 64 << 20, 64 << 20, 64 << 20, 65 << 20},
		Pods: map[string]traffic.Endpoint{"tiny-7d9c6b-4xkzp": {Classes: [6]int{2: 500}}},
	}, f.call("metrics of " + environment + " for " + during.Round(time.Second).String())
}

func (f fakeMetrics) Query(_ context.Context, promql string, during time.Duration) ([]metrics.Series, error) {
	if f.measured == nil {
		return nil, platform.ErrNoMetrics
	}
	at := time.Date(2026, 11, 26, 14, 3, 0, 0, time.UTC)
	s := metrics.Series{Labels: map[string]string{"__name__": "up", "job": "nodes", "instance": "node-1"}, Points: []metrics.Point{{Time: at, Value: 1}}}
	if during > 0 {
		s.Points = append(s.Points, metrics.Point{Time: at.Add(time.Minute), Value: 0.5})
	}
	return []metrics.Series{s}, f.call(fmt.Sprintf("query %s for %s", promql, during.Round(time.Second)))
}

type fakeSessions struct {
	*world
	environment string
}

func (f fakeSessions) Run(_ context.Context, c session.Command, s session.Streams, _ progress.Reporter) error {
	if s.In != nil {
		_, _ = io.Copy(s.Out, s.In)
	}
	return f.call(strings.TrimSpace(fmt.Sprintf("run in %s %s %s %q", f.environment, c.Process, c.Limit, c.Args)))
}

func (f fakeSessions) Exec(_ context.Context, c session.Command, _ session.Streams) error {
	return f.call(fmt.Sprintf("exec in %s %s%s %q", f.environment, c.Process, c.Pod, c.Args))
}

func (f fakeSessions) Psql(_ context.Context, q session.SQL, _ session.Streams, _ progress.Reporter) error {
	return f.call(fmt.Sprintf("psql in %s %v %q", f.environment, q.Write, q.Args))
}

func (f fakeSessions) Forward(_ context.Context, o session.Forward, _ progress.Reporter, listening func(address, pod string)) error {
	listening("127.0.0.1:9000", "tiny-1")
	return f.call(fmt.Sprintf("forward %s %d:%d %s%s%v", f.environment, o.Local, o.Remote, o.Process, o.Service, o.Database))
}

type fakeBackups struct {
	*world
	environment string
}

func (b fakeBackups) Install(_ context.Context, _ provider.Bucket, image string, _ progress.Reporter) error {
	return b.call("schedule backups of " + b.environment + " by " + image)
}

func (b fakeBackups) Installed(context.Context) (time.Time, error) { return b.scheduled, nil }

func (b fakeBackups) Check(context.Context, progress.Reporter) error {
	return b.call("check the backups of " + b.environment)
}

func (b fakeBackups) Remove(context.Context, progress.Reporter) error {
	if b.scheduled.IsZero() {
		return nil
	}
	return b.call("unschedule backups of " + b.environment)
}

func (b fakeBackups) Now(context.Context, progress.Reporter) (string, error) {
	b.archived = append([]backup.Entry{archived("20260102_030405_cafe", time.Now(), true)}, b.archived...)
	return "20260102_030405_cafe", b.call("back up " + b.environment)
}

func (b fakeBackups) Safety(context.Context, progress.Reporter) (string, error) {
	return "20260102_030405_5afe", b.call("safety backup of " + b.environment)
}

func (b fakeBackups) Verify(_ context.Context, id string, _ progress.Reporter) error {
	return b.call("verify " + id)
}

func (b fakeBackups) Checked(context.Context) (bool, error) { return !b.scheduled.IsZero(), nil }

func (b fakeBackups) Restore(_ context.Context, id, from string, _ progress.Reporter) (*backup.Restored, error) {
	if from != "" {
		id += " of " + from
	}
	return &backup.Restored{ID: id, Rows: 7, Kept: "app_before_it"}, b.call("restore " + id)
}

func (b fakeBackups) Move(_ context.Context, m platform.Move, _ progress.Reporter) (*backup.Moved, error) {
	return &backup.Moved{ID: "20260102_030405_d0be", Tables: 1, Rows: 7, Warnings: []string{"ALTER SYSTEM has set work_mem, which stays behind"}},
		b.call("copy " + b.environment + " to " + m.Host + " by " + m.Image)
}

func (b fakeBackups) Moment(_ context.Context, at time.Time, _ progress.Reporter) (string, error) {
	e := archived("20260102_030405_1a57", time.Now(), true)
	e.Moment = at
	b.archived = append([]backup.Entry{e}, b.archived...)
	what := "latest"
	if !at.IsZero() {
		what = at.UTC().Format(time.DateTime)
	}
	return e.ID, b.call("moment " + what)
}

func (b fakeBackups) Streaming(context.Context) (time.Time, error) { return b.scheduled, nil }

type fakeAgent struct{ *world }

func (f fakeAgent) Install(_ context.Context, bucket *provider.Bucket, image string, _ progress.Reporter) error {
	if bucket == nil {
		return f.call("install log agent " + image)
	}
	return f.call("install log agent " + image + " with the bucket")
}

func (f fakeAgent) Follow(_ context.Context, environment string, _ progress.Reporter) error {
	f.followed = append(f.followed, environment)
	return f.fail["follow"]
}

func (f fakeAgent) Remove(context.Context, progress.Reporter) error {
	return f.call("remove log agent")
}

func (f fakeAgent) Status(context.Context) ([]platform.AgentStatus, error) {
	return f.agents, f.fail["agents"]
}

// archived is a backup of 7 rows.
func archived(id string, when time.Time, good bool) backup.Entry {
	e := backup.Entry{
		Manifest: backup.Manifest{ID: id, Started: when, Contents: backup.Contents{Tables: map[string]backup.Table{"article": {Rows: 7}}}},
		Verified: &backup.Verification{ID: id, OK: good},
	}
	e.Dump.Bytes = 123_456
	if !good {
		e.Verified.Problem = "a bit was flipped"
	}
	return e
}

type fakeArchive struct{ *world }

func (f fakeArchive) List(context.Context) ([]backup.Entry, error) { return f.archived, f.fail["list"] }

func (f fakeArchive) Windows(context.Context) ([]wal.Window, error) {
	return f.windows, f.fail["windows"]
}

func (f fakeArchive) Stream(context.Context) (*wal.State, error) {
	return f.streamed, f.fail["stream"]
}

func (f fakeArchive) Find(_ context.Context, id string) (*backup.Entry, error) {
	for _, e := range f.archived {
		if e.ID == id || id == "" && !e.Damaged() {
			return &e, nil
		}
	}
	return nil, backup.ErrNone
}

func (f fakeArchive) Latest(ctx context.Context, id string) (*backup.Entry, error) {
	return f.Find(ctx, id)
}

func (f fakeArchive) Get(_ context.Context, id string, w io.Writer) error {
	_, err := io.WriteString(w, "-- "+id+"\n")
	return err
}

func (f fakeArchive) GetFile(_ context.Context, id, path string) error {
	return os.WriteFile(path, []byte("-- "+id+"\n"), 0o600)
}

type fakeLogArchive struct{ *world }

func (f fakeLogArchive) Search(_ context.Context, q logs.Query, held logs.Held, _ progress.Reporter) (*logs.Found, error) {
	f.asked = q
	if err := f.fail["search"]; err != nil && !errors.Is(err, logs.ErrDamaged) {
		return nil, err
	}
	return &logs.Found{Lines: func(yield func(logs.Line, error) bool) {
		for _, line := range f.past {
			if !held.Has(line) && q.Takes(line) && !yield(line, nil) {
				return
			}
		}
	}}, f.fail["search"]
}

// result is what a command left behind.
type result struct {
	status      int
	out, errors string
}

const tiny = `
name: tiny
dockerfile: Dockerfile
port: 80
health: /up
environments:
  staging: {hosts: [staging.tiny.localhost], database: sqlite}
  production: {hosts: [tiny.localhost]}
`

// wants checks a command's exit status, and what it wrote to either stream.
func (r result) wants(t *testing.T, status int, said ...string) {
	t.Helper()
	for _, text := range said {
		if r.status != status || !strings.Contains(r.out+r.errors, text) {
			t.Errorf("got %+v; want status %d and %q", r, status, text)
		}
	}
}

// berth runs a command in a world, in a folder with its berth.yaml.
func (w *world) berth(t *testing.T, args ...string) result {
	t.Helper()
	return w.berthWith(t, w.parts(), args...)
}

// berthWith runs a command with parts of the test's own.
func (w *world) berthWith(t *testing.T, with parts, args ...string) result {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.File), []byte(w.project), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(w.dotEnv), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	a := &app{streams: console.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, environ: w.environ, parts: with}
	status := run(t.Context(), append([]string{"--dir", dir}, args...), a)
	return result{status, out.String(), errs.String()}
}

func (w *world) wantCalls(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.calls, ", "); got != strings.Join(want, ", ") {
		t.Errorf("called %s; want %s", got, strings.Join(want, ", "))
	}
}

// api connects the world's cluster to a small API server.
func (w *world) api(t *testing.T) *apitest.Server {
	t.Helper()
	server := apitest.Start()
	t.Cleanup(server.Close)
	w.cluster.REST = &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	return server
}
