package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"berth/internal/logs"
	"berth/internal/preview"
	"berth/internal/progress"
	"berth/internal/rehearsal"
	"berth/internal/release"
	"berth/internal/session"
	"berth/internal/traffic"
)

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

func (f fakeReleases) Database(context.Context, string) (release.Server, error) {
	return release.Server{Version: f.database}, f.fail["database"]
}

func (f fakeReleases) ReplaceDatabase(ctx context.Context, environment string, fill func(context.Context, release.Volume) error, _ progress.Reporter) (release.Upgraded, error) {
	from := release.Server{Version: f.database}
	done := release.Upgraded{From: from, To: release.Server{Version: f.database, Letter: "b"}, Outage: 1500 * time.Millisecond, Finished: f.switched}
	if done.Finished {
		return done, nil
	}
	if err := fill(ctx, release.Volume{Claim: "data-tiny-postgres17b-0", Version: f.database}); err != nil {
		return done, err
	}
	return done, f.call("switch " + environment + " to " + done.To.String())
}

func (f fakeReleases) KeptServers(context.Context, string) ([]release.KeptServer, error) {
	return f.kept, nil
}

func (f fakeReleases) UpgradeDatabase(ctx context.Context, environment string, u release.Upgrade, _ progress.Reporter) (release.Upgraded, error) {
	done := release.Upgraded{From: release.Server{Version: f.database}, To: release.Server{Version: u.To}, Outage: 1500 * time.Millisecond, Already: f.database == u.To}
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
	return release.Upgraded{From: release.Server{Version: f.database}, To: f.kept[0].Server, Outage: 1500 * time.Millisecond}, f.call("switch back " + environment)
}

func (f fakeReleases) ForgetDatabases(_ context.Context, environment string, _ progress.Reporter) ([]release.Server, error) {
	return []release.Server{{Version: 17}}, f.call("forget databases of " + environment)
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
