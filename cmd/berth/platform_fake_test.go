package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"berth/internal/alert"
	"berth/internal/backup"
	"berth/internal/logs"
	"berth/internal/metrics"
	"berth/internal/platform"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/traffic"
	"berth/internal/wal"
)

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
	return &backup.Moved{ID: "20260102_030405_d0be", To: cmp.Or(b.movedTo, "18.1 (Debian 18.1-1)"), Tables: 1, Rows: 7, Warnings: []string{"ALTER SYSTEM has set work_mem, which stays behind"}},
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

func (b fakeBackups) Fill(_ context.Context, at time.Time, v platform.Volume, _ progress.Reporter) (*wal.Filled, error) {
	what := "latest"
	if !at.IsZero() {
		what = at.UTC().Format(time.DateTime)
	}
	return &wal.Filled{Base: "20260102_030405_ba5e", Moment: at, Bytes: 6_000_000_000}, b.call("fill " + v.Claim + " with " + what)
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

func (f fakeArchive) Reaches(context.Context) (time.Time, error) {
	return f.reaches, f.fail["base"]
}

func (f fakeArchive) BaseOf(context.Context, time.Time) (*wal.Base, error) {
	return &f.base, f.fail["base"]
}

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
