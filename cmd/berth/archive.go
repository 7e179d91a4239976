package main

import (
	"context"
	"strings"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/overview"
	"berth/internal/provider"
)

// backedUp is an environment with backups, and the way to the bucket they are
// in. Reading them takes no cluster.
type backedUp struct {
	config      *config.Config
	provider    provider.Provider
	environment string
	archive     archive
}

// openBackups finds the environment that is meant.
func (a *app) openBackups(ctx context.Context, environment string) (*backedUp, error) {
	var named []string
	if environment != "" {
		named = []string{environment}
	}
	c, p, err := a.open("", named...)
	if err != nil {
		return nil, err
	}
	candidates := overview.Scheduled(c)
	switch {
	case environment != "" && !c.Environments[environment].Backup.Enabled():
		return nil, fault.WithHint(fault.Usage("%s has no backups", environment),
			"give environments.%s.backup a schedule in berth.yaml", environment)
	case environment != "":
	case len(candidates) == 0:
		return nil, fault.WithHint(fault.Usage("no environment has backups"),
			"give one a database of postgres, or a backup.schedule, in berth.yaml")
	case len(candidates) > 1:
		return nil, fault.WithHint(fault.Usage("several environments have backups: %s", strings.Join(candidates, ", ")),
			"say which: --env %s", candidates[len(candidates)-1])
	default:
		environment = candidates[0]
	}
	found, err := a.archiveOf(ctx, c, p, environment)
	if err != nil {
		return nil, err
	}
	return &backedUp{c, p, environment, found}, nil
}

func (a *app) archiveOf(ctx context.Context, c *config.Config, p provider.Provider, environment string) (archive, error) {
	bucket, err := p.Bucket(ctx)
	if err != nil {
		return nil, err
	}
	return a.parts.archive(bucket, c, environment)
}

// connectBackups opens the cluster that the backups are of.
func (a *app) connectBackups(ctx context.Context, b *backedUp) (*provider.Cluster, releases, backups, error) {
	cluster, found, err := a.connect(ctx, b.config, b.provider)
	if err != nil {
		return nil, nil, nil, err
	}
	job, err := a.parts.backups(cluster, b.config, b.environment)
	return cluster, found, job, err
}

// printWarnings says what a backup does not hold.
func (a *app) printWarnings(entry *backup.Entry) error {
	for _, warning := range entry.Warnings {
		if err := a.console.Print("Note: %s", warning); err != nil {
			return err
		}
	}
	return nil
}
