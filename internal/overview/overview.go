// Package overview collects the state of everything that berth runs on a cluster:
// nodes, environments, backups, logs, alerts. berth status prints it and berth
// dashboard shows it.
package overview

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/internal/alert"
	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/platform"
	"berth/internal/provider"
	"berth/internal/release"
	"berth/internal/wal"
)

// Report is how everything is doing. As JSON it is what programs read.
type Report struct {
	// OK says that nothing is down; the command's exit status says it too.
	OK           bool          `json:"ok"`
	Provider     string        `json:"provider"`
	Cluster      string        `json:"cluster"`
	Nodes        []Node        `json:"nodes"`
	Environments []Environment `json:"environments"`
	// Backups of the environments that have any.
	Backups []Backup `json:"backups"`
	// Logs is null where lines go nowhere.
	Logs *Logs `json:"logs"`
	// Alerts is null where nothing is to be told.
	Alerts *Alerts `json:"alerts"`
	// Metrics is null where none are to be kept.
	Metrics *Metrics `json:"metrics"`
}

// Environment is how one environment is doing, and where it answers.
type Environment struct {
	Address string `json:"address"`
	release.Status
}

// Looker looks at one application on one cluster.
type Looker struct {
	Config   *config.Config
	Cluster  *provider.Cluster
	Releases Releases
	// Backups opens what backs an environment up, and Archive what is in the bucket.
	Backups func(environment string) (Backups, error)
	Archive func(ctx context.Context, environment string) (Archive, error)
	// Agent opens the log agents, Watch the watch, and Kept what keeps metrics.
	Agent func() (Agent, error)
	Watch func() (Watch, error)
	Kept  func() (Kept, error)
}

// Releases is what is asked of a [release.Client].
type Releases interface {
	Status(ctx context.Context, environment string) (release.Status, error)
}

// Backups is what is asked of [platform.Backups].
type Backups interface {
	Installed(ctx context.Context) (time.Time, error)
	Streaming(ctx context.Context) (time.Time, error)
}

// Archive is what is asked of the backups in the bucket.
type Archive interface {
	List(ctx context.Context) ([]backup.Entry, error)
	Stream(ctx context.Context) (*wal.State, error)
}

// Agent is what is asked of [platform.Logs].
type Agent interface {
	Status(ctx context.Context) ([]platform.AgentStatus, error)
}

// Watch is what is asked of [platform.Alerts].
type Watch interface {
	Status(ctx context.Context) (*alert.Report, error)
}

// Kept is what is asked of [platform.Metrics].
type Kept interface {
	Status(ctx context.Context) (*platform.MetricsStatus, error)
}

// Home is where an environment's first host answers; empty where the application
// answers no requests.
func Home(c *config.Config, cluster *provider.Cluster, environment string) string {
	for _, host := range c.Environments[environment].Hosts {
		return cluster.URL(config.HostBelow(host))
	}
	return ""
}

// All looks at everything at once.
func (l *Looker) All(ctx context.Context) (*Report, error) {
	scheduled := Scheduled(l.Config)
	seen := &Report{Provider: l.Config.Provider, Cluster: l.Cluster.Name, Backups: make([]Backup, len(scheduled))}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		seen.Nodes, err = l.Nodes(ctx)
		return err
	})
	group.Go(func() (err error) {
		seen.Environments, err = l.Environments(ctx)
		return err
	})
	for i, name := range scheduled {
		group.Go(func() error {
			seen.Backups[i] = l.Backup(ctx, name)
			return nil
		})
	}
	group.Go(func() error {
		seen.Logs = l.Logs(ctx)
		return nil
	})
	group.Go(func() error {
		seen.Alerts = l.Alerts(ctx)
		return nil
	})
	group.Go(func() error {
		seen.Metrics = l.Metrics(ctx)
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	seen.OK = (seen.Logs == nil || seen.Logs.OK) && seen.Alerts.OK() && seen.Metrics.OK()
	for _, node := range seen.Nodes {
		seen.OK = seen.OK && node.Ready
	}
	for _, environment := range seen.Environments {
		seen.OK = seen.OK && environment.Serving
	}
	for _, backups := range seen.Backups {
		seen.OK = seen.OK && backups.OK
	}
	return seen, nil
}

// Environments looks at the environments named, or at all of them, in the order of
// berth.yaml.
func (l *Looker) Environments(ctx context.Context, names ...string) ([]Environment, error) {
	if len(names) == 0 {
		names = l.Config.EnvironmentNames()
	}
	all := make([]Environment, len(names))
	group, ctx := errgroup.WithContext(ctx)
	for i, name := range names {
		group.Go(func() error {
			status, err := l.Releases.Status(ctx, name)
			if err != nil {
				return fmt.Errorf("status of %s: %w", name, err)
			}
			all[i] = Environment{Home(l.Config, l.Cluster, name), status}
			return nil
		})
	}
	var uses used
	group.Go(func() error {
		uses = l.usage(ctx, names...)
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, e := range all {
		uses.environment(e)
	}
	return all, nil
}

// Scheduled are the environments that have backups.
func Scheduled(c *config.Config) []string {
	var names []string
	for _, name := range c.EnvironmentNames() {
		if c.Environments[name].Backup.Enabled() {
			names = append(names, name)
		}
	}
	return names
}
