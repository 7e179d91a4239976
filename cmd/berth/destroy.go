package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/overview"
	"berth/internal/provider"
)

var errDeclined = errors.New("nothing was removed")

type destroyOptions struct{ deleteBackups, noBackup bool }

func (a *app) destroyCommand() *cobra.Command {
	var o destroyOptions
	command := &cobra.Command{
		Use:   "destroy [--delete-backups] [--no-backup]",
		Short: "Remove what berth made on the provider, and nothing else",
		Long: `Remove every environment with its data, everything else that berth installed, and
the cluster if berth made it. Lists what goes and what stays, and asks for the
cluster's name first. Without a terminal it needs --yes.

First it makes a last backup of each database that has backups. The bucket with the
backups stays, and so does a managed database outside the cluster.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.destroy(command.Context(), o) },
	}
	command.Flags().BoolVar(&o.deleteBackups, "delete-backups", false, "remove the bucket with all backups too")
	command.Flags().BoolVar(&o.noBackup, "no-backup", false, "make no last backup")
	return command
}

func (a *app) destroy(ctx context.Context, o destroyOptions) error {
	if !a.yes && !a.console.Interactive {
		return fault.WithHint(
			fault.Usage("destroy asks before it removes anything, and there is no terminal to ask on"),
			"berth destroy --yes removes without asking")
	}
	c, p, err := a.open("")
	if err != nil {
		return err
	}
	traits := p.Traits()
	remover, removesBucket := p.(provider.BucketRemover)
	if o.deleteBackups && !removesBucket {
		return fault.Usage("--delete-backups is for the provider digitalocean: local has no bucket of its own to keep, and existing's is yours")
	}
	cluster, found, err := a.connect(ctx, c, p)
	// A cluster of berth's own goes as a whole, even if it is stopped or half gone.
	// Any other must be there, or what is in it would be left without a word.
	if err != nil && (!traits.Owned || !errors.Is(err, provider.ErrNotUp)) {
		return err
	}
	name := traits.Cluster
	if cluster != nil {
		name = cluster.Name
	}
	var others []string
	if traits.Owned {
		others = a.otherClaims(ctx, c, cluster)
	}
	a.printPlan(c, name, traits, others, o)
	names := []string{name}
	if o.deleteBackups {
		names = append(names, traits.Bucket)
	}
	for _, name := range names {
		if a.yes {
			break
		}
		sure, err := a.console.Type(ctx, name)
		if err != nil {
			return err
		}
		if !sure {
			return errDeclined
		}
	}
	r := a.console.Reporter()
	if cluster != nil {
		if traits.KeepsBucket && !o.noBackup && !o.deleteBackups {
			if err := a.lastBackups(ctx, c, cluster); err != nil {
				return err
			}
		}
		if err := a.empty(ctx, c, cluster, found); err != nil {
			if !removesBucket || ctx.Err() != nil {
				return err
			}
			// Nothing in it outlives the cluster, which goes from outside.
			r.Note("the cluster could not be emptied and is removed with what it has: " + err.Error())
		}
	}
	kept, err := p.Destroy(ctx, r)
	if err != nil {
		return err
	}
	if o.deleteBackups {
		still, err := remover.RemoveBucket(ctx, r)
		if err != nil {
			a.printKept(kept) // nobody names it again once the cluster is gone
			return err
		}
		kept = still
	}
	a.printKept(kept)
	return nil
}

// otherClaims are the volumes of a cluster that goes as a whole which berth.yaml
// does not name, in words. One that does not answer keeps them to itself.
func (a *app) otherClaims(ctx context.Context, c *config.Config, cluster *provider.Cluster) []string {
	if cluster == nil {
		return nil
	}
	claims, err := a.parts.otherClaims(ctx, cluster, c)
	if err != nil {
		return []string{"and whatever other volumes are in it, which could not be listed: " + err.Error()}
	}
	for i, claim := range claims {
		claims[i] = "the volume of " + claim + " with all files in it, which berth.yaml does not name"
	}
	return claims
}

// lastBackups backs up once more what is backed up.
func (a *app) lastBackups(ctx context.Context, c *config.Config, cluster *provider.Cluster) error {
	for _, environment := range overview.Scheduled(c) {
		scheduled, err := a.parts.backups(cluster, c, environment)
		if err != nil {
			return err
		}
		since, err := scheduled.Installed(ctx)
		if err != nil {
			return fault.WithHint(fmt.Errorf("look for the backups of %s: %w", environment, err), "berth destroy --no-backup removes without a last backup")
		}
		if since.IsZero() {
			continue
		}
		if _, err := scheduled.Safety(ctx, a.console.Reporter()); err != nil {
			return fault.WithHint(fmt.Errorf("back up %s a last time: %w", environment, err), "berth destroy --no-backup removes without a last backup")
		}
	}
	return nil
}

// empty removes all that berth has put into a cluster.
func (a *app) empty(ctx context.Context, c *config.Config, cluster *provider.Cluster, found releases) error {
	r := a.console.Reporter()
	// First, so that it tells nobody of what goes.
	watch, err := a.parts.watch(cluster, c)
	if err != nil {
		return err
	}
	if err := watch.Remove(ctx, r); err != nil {
		return err
	}
	kept, err := a.parts.metrics(cluster, c)
	if err != nil {
		return err
	}
	if err := kept.Remove(ctx, r); err != nil {
		return err
	}
	if err := a.removePreviews(ctx, c, cluster); err != nil {
		return err
	}
	for _, environment := range c.EnvironmentNames() {
		scheduled, err := a.parts.backups(cluster, c, environment)
		if err != nil {
			return err
		}
		if err := a.sweep(ctx, rehearsing{config: c, cluster: cluster, found: found, environment: environment}); err != nil {
			return err
		}
		if err := scheduled.Remove(ctx, r); err != nil {
			return err
		}
		if err := found.Remove(ctx, environment, r); err != nil {
			return err
		}
	}
	agent, err := a.parts.agent(cluster, c)
	if err != nil {
		return err
	}
	if err := agent.Remove(ctx, r); err != nil {
		return err
	}
	return a.parts.remove(ctx, cluster, c, r)
}

func (a *app) printKept(kept []string) {
	if len(kept) == 0 {
		return
	}
	a.console.Print("Kept:")
	for _, one := range kept {
		a.console.Print("  %s", one)
	}
}

// printPlan says before the question what the answer would mean.
func (a *app) printPlan(c *config.Config, cluster string, traits provider.Traits, others []string, o destroyOptions) {
	a.console.Print("This removes for good from cluster %s:", cluster)
	for _, environment := range c.EnvironmentNames() {
		what := "its revisions and secrets"
		if c.Environments[environment].Database != config.NoDatabase {
			what = "its database, revisions and secrets"
		}
		a.console.Print("  the environment %s with %s", environment, what)
		for _, name := range slices.Sorted(maps.Keys(c.Volumes)) {
			a.console.Print("    its volume %s with all files in it, which no backup has", name)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Services)) {
			a.console.Print("    its %s %s with all that it stores, which no backup has", c.Services[name], name)
		}
	}
	if c.Previews.Enabled() {
		a.console.Print("  every preview with its data")
	}
	if c.Metrics.Kept() {
		a.console.Print("  the metrics of the last %d days with their volume, which no backup has", c.Metrics.Days())
	}
	for _, other := range others {
		a.console.Print("  %s", other)
	}
	a.console.Print("  everything else that berth installed")
	for _, one := range traits.Removes {
		a.console.Print("  %s", one)
	}
	switch {
	case traits.Bucket == "":
	case o.deleteBackups:
		a.console.Print("  the %s %s with ALL BACKUPS and logs", traits.BucketKind, traits.Bucket)
	default:
		a.console.Print("It keeps the %s %s with the backups.", traits.BucketKind, traits.Bucket)
	}
	for _, one := range traits.Keeps {
		a.console.Print("It keeps %s.", one)
	}
}
