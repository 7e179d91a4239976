package main

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/alert"
	"berth/internal/config"
	"berth/internal/dashboard"
	"berth/internal/fault"
	"berth/internal/git"
	"berth/internal/logs"
	"berth/internal/metrics"
	"berth/internal/overview"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/release"
)

type dashboardOptions struct {
	port      int
	noBrowser bool
}

func (a *app) dashboardCommand() *cobra.Command {
	var o dashboardOptions
	command := &cobra.Command{
		Use:   "dashboard [--port N] [--no-browser]",
		Short: "Show environments, logs, backups, nodes and alerts in the browser",
		Long: `Serve pages on 127.0.0.1 that show environments, revisions, logs, backups, nodes
and alerts, and open them in the browser, until interrupted. They use your rights, and
install nothing in the cluster. They can roll back and restart, and ask first.

The printed address contains a token: anybody who has it has your rights while the
command runs.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.dashboard(command.Context(), o) },
	}
	command.Flags().IntVar(&o.port, "port", 0, "port of 127.0.0.1 to serve on (default: a free one)")
	command.Flags().BoolVar(&o.noBrowser, "no-browser", false, "print the address and do not open a browser")
	return command
}

func (a *app) dashboard(ctx context.Context, o dashboardOptions) error {
	if o.port < 0 || o.port > 65535 {
		return fault.Usage("%d is not a port; give one of 1 to 65535", o.port)
	}
	c, p, err := a.open("")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port)))
	if err != nil {
		return fault.WithHint(err, "give another --port, or none")
	}
	defer listener.Close()
	source := &board{app: a, config: c, provider: p}
	app := dashboard.Application{Name: c.Name, Provider: c.Provider, Environments: c.EnvironmentNames(), BackedUp: overview.Scheduled(c), Metrics: c.Metrics.Kept()}
	forget := func() {}
	defer func() { forget() }()
	return dashboard.Serve(ctx, listener, app, source, func(address string) {
		a.console.Print("The dashboard of %s, until Ctrl-C:\n  %s", c.Name, address)
		if !o.noBrowser && a.console.Interactive {
			if forget, err = dashboard.Open(address, a.environ); err != nil {
				a.console.Reporter().Note("no browser was opened: " + err.Error())
			}
		}
	})
}

// board is what the dashboard shows: what the other commands print.
type board struct {
	*app
	config   *config.Config
	provider provider.Provider

	mu     sync.Mutex
	looker *overview.Looker
	found  releases
	since  time.Time
}

// fresh is for how long a cluster is taken for the same one.
const fresh = 30 * time.Second

func (b *board) Environments(ctx context.Context, names ...string) ([]overview.Environment, error) {
	look, _, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	return look.Environments(ctx, names...)
}

func (b *board) reach(ctx context.Context) (*overview.Looker, releases, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.since) > fresh {
		cluster, found, err := b.connect(ctx, b.config, b.provider)
		if err != nil {
			return nil, nil, err
		}
		b.looker, b.found, b.since = b.app.looker(b.config, b.provider, cluster, found), found, time.Now()
	}
	return b.looker, b.found, nil
}

func (b *board) History(ctx context.Context, environment string) ([]release.Revision, error) {
	_, found, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	return found.History(ctx, environment)
}

// Message is that of a commit of the folder that berth.yaml is in.
func (b *board) Message(ctx context.Context, commit string) string {
	said, err := git.Message(ctx, b.config.Dir, commit)
	if err != nil {
		return "" // It is told where there is a repository that knows it.
	}
	return said
}

func (b *board) Nodes(ctx context.Context) ([]overview.Node, error) {
	look, _, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	return look.Nodes(ctx)
}

func (b *board) Sinks(ctx context.Context) (*overview.Logs, error) {
	look, _, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	return look.Logs(ctx), nil
}

func (b *board) Alerts(ctx context.Context) (*alert.Report, error) {
	look, _, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	watch, err := look.Watch()
	if err != nil {
		return nil, err
	}
	report, err := watch.Status(ctx)
	return report, withAlertsHint(b.config, err)
}

// Backups are shown when the cluster is away, too: the bucket has them.
func (b *board) Backups(ctx context.Context, environment string) (*dashboard.Backups, error) {
	backups := &dashboard.Backups{Streams: b.config.Environments[environment].Backup.Streams()}
	archive, err := b.archiveOf(ctx, b.config, b.provider, environment)
	if err != nil {
		return nil, err
	}
	if backups.Entries, err = archive.List(ctx); err != nil {
		return nil, err
	}
	if backups.Streams {
		if backups.Windows, err = archive.Windows(ctx); err != nil {
			return nil, err
		}
	}
	look, _, err := b.reach(ctx)
	if err != nil {
		backups.Backup = overview.Backup{Environment: environment, Schedule: b.config.Environments[environment].Backup.Schedule, Problem: err.Error()}
		return backups, nil
	}
	backups.Backup = look.Backup(ctx, environment)
	return backups, nil
}

func (b *board) Logs(ctx context.Context, environment string, q dashboard.LogQuery, r progress.Reporter, each func(logs.Line) error) error {
	return b.readLogs(ctx, wanted{b.config, b.provider, environment, q.Query, q.Follow, q.Archive}, r, each)
}

func (b *board) Metrics(ctx context.Context, environment string, during time.Duration) (*metrics.Environment, error) {
	look, _, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := b.parts.metrics(look.Cluster, b.config)
	if err != nil {
		return nil, err
	}
	e, err := kept.Environment(ctx, environment, during)
	return e, withMetricsHint(b.config, err)
}

func (b *board) Secrets(ctx context.Context, environment string) []string {
	_, found, err := b.reach(ctx)
	if err != nil {
		return nil // Its lines come from the archive, which has none.
	}
	return found.Secrets(ctx, environment)
}

func (b *board) Rollback(ctx context.Context, environment string, revision int, r progress.Reporter) (release.Revision, error) {
	_, found, err := b.reach(ctx)
	if err != nil {
		return release.Revision{}, err
	}
	return found.Rollback(ctx, environment, revision, r)
}

func (b *board) Restart(ctx context.Context, environment string, r progress.Reporter) (release.Restarted, error) {
	_, found, err := b.reach(ctx)
	if err != nil {
		return release.Restarted{}, err
	}
	return found.Restart(ctx, environment, "", r)
}
