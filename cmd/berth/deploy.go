package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"berth/internal/release"
)

type deployOptions struct {
	environment, image string
	json               bool
}

func (a *app) deployCommand() *cobra.Command {
	var o deployOptions
	command := &cobra.Command{
		Use:   "deploy ENV [--image REF]",
		Short: "Release the application to an environment",
		Long: `Build the application's image, or take the one given, and release it to an
environment. Waits until the new revision serves; when it does not, goes back to
the last good one and says why.`,
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.deploy(command.Context(), o)
		},
	}
	command.Flags().StringVar(&o.image, "image", "", "release this image instead of building one")
	command.Flags().BoolVar(&o.json, "json", false, "write the revision as JSON")
	return command
}

func (a *app) deploy(ctx context.Context, o deployOptions) error {
	c, p, err := a.open("", o.environment)
	if err != nil {
		return err
	}
	cluster, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	if err := a.serviceImages(ctx, c, p, cluster); err != nil {
		return err
	}
	image := o.image
	if image == "" {
		if err := found.Free(ctx, o.environment); err != nil {
			return err
		}
		if image, err = a.image(ctx, c, p); err != nil {
			return err
		}
	}
	revision, err := found.Deploy(ctx, o.environment, image, a.console.Reporter())
	if err := a.printRevision(revision, err, o.environment, homeAddress(c, cluster, o.environment), o.json); err != nil {
		return err
	}
	if err := a.installBackups(ctx, c, p, cluster, o.environment, func() (string, error) { return a.platformImage(ctx, c, p, "backup") }); err != nil {
		return err
	}
	if !revision.Unchanged {
		a.prune(ctx, p, cluster)
	}
	return nil
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
