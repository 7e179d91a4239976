package main

import (
	"context"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/platform"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/existing"
	"berth/internal/provider/local"
	"berth/internal/release"
)

// parts are what the commands are wired to. Tests put their own there.
type parts struct {
	// provider opens the provider that the configuration names.
	provider func(*config.Config) (provider.Provider, error)
	// install puts the platform on a cluster, and remove takes it away.
	install, remove func(context.Context, *provider.Cluster, *config.Config, progress.Reporter) error
	// reach waits until the platform answers for hosts at a path.
	reach func(ctx context.Context, cluster *provider.Cluster, hosts []string, path string, r progress.Reporter) error
	// releases opens the application's releases on a cluster.
	releases func(*provider.Cluster, *config.Config) (releases, error)
}

// releases is what the commands need of a [release.Client].
type releases interface {
	Deploy(ctx context.Context, environment, image string, r progress.Reporter) (release.Revision, error)
	Rollback(ctx context.Context, environment string, revision int, r progress.Reporter) (release.Revision, error)
	History(ctx context.Context, environment string) ([]release.Revision, error)
	Status(ctx context.Context, environment string) (release.Status, error)
	Logs(ctx context.Context, environment string, o release.LogOptions, each func(release.Line) error) error
	Remove(ctx context.Context, environment string, r progress.Reporter) error
}

var realParts = parts{
	provider: openProvider,
	install:  platform.Install,
	remove:   platform.Remove,
	reach:    platform.Reach,
	releases: func(cluster *provider.Cluster, c *config.Config) (releases, error) { return release.New(cluster, c) },
}

// openProvider is the one place that knows all providers.
func openProvider(c *config.Config) (provider.Provider, error) {
	switch c.Provider {
	case "local":
		return local.New(c)
	case "existing":
		return existing.New(c)
	}
	return nil, fault.Usage("there is no provider %q", c.Provider)
}
