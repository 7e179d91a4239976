package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
)

var errDeclined = errors.New("nothing was removed")

func (a *app) destroyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "destroy",
		Short: "Remove what berth made on the provider, and nothing else",
		Long: `Remove every environment with its data, what berth installed beside them, and
the cluster where berth made it. Lists what goes and what stays, and asks for
the cluster's name first. Without a terminal it needs --yes.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.destroy(command.Context()) },
	}
}

func (a *app) destroy(ctx context.Context) error {
	if !a.yes && !a.console.Interactive {
		return fault.WithHint(
			fault.Usage("destroy asks before it removes anything, and there is no terminal to ask on"),
			"berth destroy --yes removes without asking")
	}
	c, p, err := a.open("")
	if err != nil {
		return err
	}
	cluster, found, err := a.connect(ctx, c, p)
	// A cluster of berth's own may be stopped and goes as a whole; one that is
	// not must be there, or what is in it would be left behind unsaid.
	if _, own := p.(provider.Stopper); err != nil && !(own && errors.Is(err, provider.ErrNotUp)) {
		return err
	}
	name := c.Provider
	if cluster != nil {
		name = cluster.Name
	}
	a.printPlan(c, name)
	if !a.yes {
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
		for _, environment := range c.EnvironmentNames() {
			scheduled, err := a.parts.backups(cluster, c, environment)
			if err != nil {
				return err
			}
			if err := scheduled.Remove(ctx, r); err != nil {
				return err
			}
			if err := found.Remove(ctx, environment, r); err != nil {
				return err
			}
		}
		if err := a.parts.remove(ctx, cluster, c, r); err != nil {
			return err
		}
	}
	kept, err := p.Destroy(ctx, r)
	if err != nil {
		return err
	}
	a.printKept(kept)
	return nil
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
func (a *app) printPlan(c *config.Config, cluster string) {
	a.console.Print("This removes for good from cluster %s:", cluster)
	for _, environment := range c.EnvironmentNames() {
		what := "its revisions and secrets"
		if c.Environments[environment].Database != config.NoDatabase {
			what = "its database, revisions and secrets"
		}
		a.console.Print("  the environment %s with %s", environment, what)
	}
	a.console.Print("  what berth installed beside them")
	switch c.Provider {
	case "local":
		a.console.Print("  the cluster itself with its nodes, volumes and bucket")
		a.console.Print("It keeps berth.yaml, .env and installed packages.")
	default:
		a.console.Print("It keeps the cluster, its nodes, everything else in it, the bucket and the images.")
	}
}
