package main

import (
	"bytes"
	"context"
	"errors"
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
	"berth/internal/platform"
	"berth/internal/preview"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/existing/apitest"
	"berth/internal/rehearsal"
	"berth/internal/release"
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
	windows []wal.Window
	// base is what they are reached from, and switched says that an interrupted restore
	// had come as far.
	base     wal.Base
	reaches  time.Time
	movedTo  string
	switched bool
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
