package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/overview"
	"berth/internal/provider"
	"berth/internal/release"
)

type deployOptions struct {
	environment, image, from string
	forward, skipUnset, json bool
	// anyway the rehearsal speaks against the release, which continues.
	anyway bool
}

func (a *app) deployCommand() *cobra.Command {
	var o deployOptions
	command := &cobra.Command{
		Use:   "deploy ENV [--image REF | --from ENV] [--forward] [--anyway] [--skip-unconfigured] [--json]",
		Short: "Release the application to an environment",
		Long: `Build the application's image, or take the given one, and release it to an
environment. Wait until the new revision serves. If it does not come to serve, roll
back to the last good one and say why.

--from ENV releases the image that another environment has served for the same
commit: what was tried in staging goes to production, and nothing is built.

If the environment has rehearse: true in berth.yaml, every release is rehearsed first,
as by "berth rehearse", and stops if the rehearsal speaks against it.

If berth.yaml has judge: 60s, the new revision's answers are watched for that long once
it serves. If they are clearly worse than before, it is rolled back too.`,
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.deploy(command.Context(), o)
		},
	}
	command.Flags().StringVar(&o.image, "image", "", "release this image instead of building one")
	command.Flags().StringVar(&o.from, "from", "", "release the image that this environment has served for the same commit")
	command.Flags().BoolVar(&o.forward, "forward", false, "fail if the environment serves a later commit already")
	command.Flags().BoolVar(&o.anyway, "anyway", false, "deploy even if the rehearsal speaks against it")
	command.Flags().BoolVar(&o.skipUnset, "skip-unconfigured", false, "do nothing, and say so, if there are no credentials or the cluster is this machine's")
	command.Flags().BoolVar(&o.json, "json", false, "write the revision as JSON")
	return command
}

func (a *app) deploy(ctx context.Context, o deployOptions) error {
	if o.image != "" && o.from != "" {
		return fault.Usage("--image and --from name an image each: which one?")
	}
	environments := []string{o.environment}
	if o.from != "" {
		environments = append(environments, o.from)
	}
	if o.skipUnset {
		// Before anything that takes root.
		c, err := a.load("")
		if err != nil {
			return err
		}
		if why := a.unconfigured(c); why != "" {
			return a.skipped(o.environment, why)
		}
	}
	c, p, err := a.open("", environments...)
	if err != nil {
		return err
	}
	cluster, found, err := a.connect(ctx, c, p)
	if o.skipUnset && errors.Is(err, provider.ErrNoCredentials) {
		return a.skipped(o.environment, err.Error())
	}
	if err != nil {
		return err
	}
	if err := a.serviceImages(ctx, c, p, cluster); err != nil {
		return err
	}
	if err := a.databaseImages(ctx, c, p, cluster, o.environment); err != nil {
		return err
	}
	image := o.image
	switch {
	case o.from != "":
		image, err = found.Promotable(ctx, o.from)
	case image == "":
		if err = found.Free(ctx, o.environment); err == nil {
			image, err = a.image(ctx, c, p)
		}
	}
	if err != nil {
		return err
	}
	if err := a.rehearsed(ctx, rehearsing{c, p, cluster, found, o.environment}, image, o); err != nil {
		return err
	}
	deploy := found.Deploy
	if o.forward {
		deploy = found.DeployForward
	}
	revision, err := deploy(ctx, o.environment, image, a.console.Reporter())
	if err := a.printRevision(revision, err, o.environment, overview.Home(c, cluster, o.environment), o.json); err != nil {
		return err
	}
	if err := a.installBackups(ctx, c, p, cluster, o.environment, func() (string, error) { return a.backupImage(ctx, c, p, o.environment) }); err != nil {
		return err
	}
	agent, err := a.parts.agent(cluster, c)
	if err != nil {
		return err
	}
	if err := agent.Follow(ctx, o.environment, a.console.Reporter()); err != nil {
		return err
	}
	if err := a.installMetrics(ctx, c, p, cluster); err != nil {
		return err
	}
	if err := a.installWatch(ctx, c, cluster, found, func() (string, error) { return a.platformImage(ctx, c, p, "watch") }); err != nil {
		return err
	}
	if !revision.Unchanged {
		a.prune(ctx, p, cluster)
	}
	return nil
}

func (a *app) skipped(environment, why string) error {
	return a.console.Print("Skipped: %s is not deployed: %s.", environment, why)
}

// unconfigured says why there is no cluster to deploy to as things are set up; ""
// when there should be one.
func (a *app) unconfigured(c *config.Config) string {
	p, err := a.parts.provider(c)
	switch {
	case errors.Is(err, provider.ErrNoCredentials):
		return err.Error()
	case err != nil:
		return "" // which is a mistake, and said when it is opened
	}
	if p.Traits().Here {
		return "the provider " + c.Provider + " is the machine that it runs on"
	}
	return ""
}

// printRevision tells how a deploy or a rollback ended.
func (a *app) printRevision(revision release.Revision, err error, environment, address string, asJSON bool) error {
	var lost *release.Failed
	if errors.As(err, &lost) && asJSON {
		if err := a.console.JSON(map[string]any{"failed": lost, "now": lost.Now()}); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if asJSON {
		return a.console.JSON(struct {
			Environment string `json:"environment"`
			Address     string `json:"address"`
			release.Revision
		}{environment, address, revision})
	}
	now := fmt.Sprintf("%s runs revision %d", environment, revision.Number)
	if address != "" {
		now = fmt.Sprintf("%s serves revision %d", environment, revision.Number)
	}
	if revision.Unchanged {
		now += " already"
	}
	if address != "" {
		now += ": " + address
	}
	a.console.Print("%s", now)
	return nil
}
