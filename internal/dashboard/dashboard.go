// Package dashboard serves pages about one application on one cluster to a browser on
// the same machine. It uses the operator's own rights, and exposes nothing in the
// cluster.
//
// A page is a shell that is there at once. Its parts are loaded as fragments of HTML
// (parts.go), and log lines as events (stream.go). Two actions change something,
// rollback and restart; they ask first and then run in the background (tasks.go).
// guard.go decides who may see the pages.
//
// Everything is rendered by html/template or inserted as text by static/script.js, so
// text from an application, a commit or a cluster is never HTML.
package dashboard

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"net"
	"net/http"
	"time"

	"berth/internal/alert"
	"berth/internal/backup"
	"berth/internal/logs"
	"berth/internal/metrics"
	"berth/internal/overview"
	"berth/internal/progress"
	"berth/internal/release"
	"berth/internal/wal"
)

// Application is whose dashboard it is.
type Application struct {
	Name string
	// Provider is what the cluster is at.
	Provider string
	// Environments, and those of them that are backed up.
	Environments, BackedUp []string
	// Metrics says that metrics are kept.
	Metrics bool
}

// A Source is what the pages show. Its methods may be called side by side. Errors
// may have hints.
type Source interface {
	// Environments looks at the environments named, or at all.
	Environments(ctx context.Context, names ...string) ([]overview.Environment, error)
	// History is an environment's revisions, oldest first.
	History(ctx context.Context, environment string) ([]release.Revision, error)
	// Message is a commit's, or "" where it is not known here.
	Message(ctx context.Context, commit string) string
	// Nodes are the cluster's, with what they use.
	Nodes(ctx context.Context) ([]overview.Node, error)
	// Sinks is how log lines are kept; nil where they go nowhere.
	Sinks(ctx context.Context) (*overview.Logs, error)
	// Alerts is what the watch sees.
	Alerts(ctx context.Context) (*alert.Report, error)
	// Backups are what there is of an environment's.
	Backups(ctx context.Context, environment string) (*Backups, error)
	// Logs calls each for the lines that are asked for, in the order of time.
	Logs(ctx context.Context, environment string, q LogQuery, r progress.Reporter, each func(logs.Line) error) error
	// Metrics is how an environment did, as it is kept.
	Metrics(ctx context.Context, environment string, during time.Duration) (*metrics.Environment, error)
	// Secrets are the values that no page may show.
	Secrets(ctx context.Context, environment string) []string
	// Rollback makes an earlier revision serve again.
	Rollback(ctx context.Context, environment string, revision int, r progress.Reporter) (release.Revision, error)
	// Restart replaces the pods of the environment by new ones.
	Restart(ctx context.Context, environment string, r progress.Reporter) (release.Restarted, error)
}

// Backups is what there is of an environment's backups.
type Backups struct {
	// Backup is how they are doing.
	overview.Backup
	// Entries are all backups, the newest first, and Windows the moments that can
	// be gone back to.
	Entries []backup.Entry
	Windows []wal.Window
	// Streams says that every moment is backed up.
	Streams bool
}

// LogQuery says which lines are wanted.
type LogQuery struct {
	logs.Query
	// Follow goes on with what comes.
	Follow bool
	// Archive takes lines from the bucket that the cluster has not any more.
	Archive bool
}

// patience bounds how long a page waits for what it asks for.
const patience = 25 * time.Second

//go:embed templates static
var files embed.FS

// server is the dashboard while it is served.
type server struct {
	app    Application
	source Source
	guard  guard
	pages  *template.Template
	tasks  tasks
	now    func() time.Time
	mux    *http.ServeMux
}

// Serve serves the dashboard until ctx ends, and until what it is changing then has
// stopped cleanly. It calls ready with the address to open, which holds a secret.
func Serve(ctx context.Context, l net.Listener, app Application, source Source, ready func(address string)) error {
	s := newServer(app, source, l.Addr().String())
	s.tasks.ctx = ctx
	h := &http.Server{
		Handler: s, BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 16,
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	ready(s.guard.address())
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	s.tasks.wait()
	if closed := h.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

func newServer(app Application, source Source, host string) *server {
	s := &server{app: app, source: source, guard: newGuard(host), now: time.Now, mux: http.NewServeMux()}
	s.pages = template.Must(template.New("").Funcs(s.functions()).ParseFS(files, "templates/*.html"))
	s.routes()
	return s
}

// ServeHTTP lets in who may, and answers.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.guard.protect(s.mux).ServeHTTP(w, r)
}

func (s *server) routes() {
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /{$}":                             s.home,
		"GET /backups":                         s.page("backups", "Backups"),
		"GET /nodes":                           s.page("nodes", "Nodes"),
		"GET /alerts":                          s.page("alerts", "Alerts"),
		"GET /environments/{environment}":      s.ofEnvironment("environment", ""),
		"GET /environments/{environment}/logs": s.ofEnvironment("logs", "Logs of "),
		"GET /environments/{environment}/logs/stream":          s.stream,
		"GET /environments/{environment}/revisions/{revision}": s.story,
		"GET /environments/{environment}/rollback":             s.confirmRollback,
		"POST /environments/{environment}/rollback":            s.rollback,
		"GET /environments/{environment}/restart":              s.ofEnvironment("restart", "Restart "),
		"POST /environments/{environment}/restart":             s.restart,
		"GET /tasks/{task}":                                    s.task,

		"GET /part/environments":                                    s.partEnvironments,
		"GET /part/environments/{environment}":                      s.partEnvironment,
		"GET /part/environments/{environment}/metrics":              s.partMetrics,
		"GET /part/environments/{environment}/revisions":            s.partRevisions,
		"GET /part/environments/{environment}/revisions/{revision}": s.partStory,
		"GET /part/environments/{environment}/backups":              s.partBackups,
		"GET /part/nodes":                                           s.partNodes,
		"GET /part/sinks":                                           s.partSinks,
		"GET /part/alerts":                                          s.partAlerts,
		"GET /part/glance/{what}":                                   s.partGlance,
		"GET /part/tasks/{task}":                                    s.partTask,

		"GET /static/": http.FileServerFS(files).ServeHTTP,
	} {
		s.mux.HandleFunc(pattern, handle)
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.missing(w, "There is no such page.") })
}
