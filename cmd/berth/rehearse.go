package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/logs"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/rehearsal"
	"berth/internal/release"
)

type rehearseOptions struct {
	environment, image string
	json               bool
}

func (a *app) rehearseCommand() *cobra.Command {
	var o rehearseOptions
	command := &cobra.Command{
		Use:   "rehearse ENV [--image REF] [--json]",
		Short: "Try a release on a copy of an environment, and report what speaks against it",
		Long: `Try a release on a copy of an environment first. The newest verified backup is
restored into an isolated namespace, which can send no mail and call no other
service. The new image's release command runs there. Then the new image and the
present one both start on the migrated copy, and answer the environment's own GET
requests of the last hour. The report says what the migration did, how both images
answered, and what speaks against the release.

The exit status is 0 if nothing speaks against the release. The environment is only
read, and the copy is removed.`,
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.rehearse(command.Context(), o)
		},
	}
	command.Flags().StringVar(&o.image, "image", "", "rehearse this image instead of building one")
	command.Flags().BoolVar(&o.json, "json", false, "write the report as JSON")
	return command
}

func (a *app) rehearse(ctx context.Context, o rehearseOptions) error {
	c, p, err := a.open("", o.environment)
	if err != nil {
		return err
	}
	if !c.Environments[o.environment].Backup.Enabled() {
		return fault.WithHint(fault.Usage("%s has no backups to make a copy from", o.environment),
			"give environments.%s a database, and its backup a schedule, in berth.yaml", o.environment)
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
		if image, err = a.image(ctx, c, p); err != nil {
			return err
		}
	}
	report, err := a.perform(ctx, rehearsing{c, p, cluster, found, o.environment}, image)
	if err != nil {
		return err
	}
	if o.json {
		err = a.console.JSON(report)
	} else {
		err = a.printRehearsal(report)
	}
	if err == nil && !report.Good {
		err = errReported
	}
	return err
}

// rehearsing is what a rehearsal works with.
type rehearsing struct {
	config      *config.Config
	provider    provider.Provider
	cluster     *provider.Cluster
	found       releases
	environment string
}

// perform rehearses the release of an image.
func (a *app) perform(ctx context.Context, in rehearsing, image string) (*rehearsal.Report, error) {
	rehearsals, err := a.openRehearsals(in)
	if err != nil {
		return nil, err
	}
	return rehearsals.Run(ctx, image, a.console.Reporter())
}

func (a *app) openRehearsals(in rehearsing) (rehearsals, error) {
	return a.parts.rehearsals(in.cluster, in.config, in.environment, rehearsal.Sources{
		Backup: func(ctx context.Context) (*backup.Entry, error) {
			found, err := a.archiveOf(ctx, in.config, in.provider, in.environment)
			if err != nil {
				return nil, err
			}
			return found.Find(ctx, "")
		},
		Log: func(ctx context.Context, since time.Time, take func(logs.Line) error) error {
			lines := wanted{in.config, in.provider, in.environment, logs.Query{From: since}, false, true}
			return a.readLogs(ctx, lines, progress.Discard, take)
		},
	})
}

// rehearsed rehearses a release where berth.yaml says so, and returns an error where it
// is not to go on.
func (a *app) rehearsed(ctx context.Context, in rehearsing, image string, o deployOptions) error {
	if err := a.sweep(ctx, in); err != nil || !in.config.Environments[in.environment].Rehearse {
		return err
	}
	if history, err := in.found.History(ctx, in.environment); err != nil && !errors.Is(err, release.ErrNotDeployed) {
		return err
	} else if len(history) == 0 {
		a.console.Reporter().Note("nothing is rehearsed: nothing is deployed to " + in.environment + " yet")
		return nil
	}
	if given, err := in.found.Given(ctx, in.environment, ""); err == nil && given.Image == image && !given.Differs {
		return nil // the deploy changes nothing
	}
	report, err := a.perform(ctx, in, image)
	anyway := fmt.Sprintf("berth deploy %s --anyway deploys all the same", in.environment)
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil && o.anyway:
		a.console.Reporter().Note("the release could not be rehearsed, and continues because of --anyway: " + err.Error())
		return nil
	case err != nil:
		return fault.WithHint(fmt.Errorf("rehearse the release: %w", err), "%s", anyway)
	}
	if !o.json {
		if err := a.printRehearsal(report); err != nil {
			return err
		}
	}
	switch {
	case report.Good:
		return nil
	case o.anyway:
		a.console.Reporter().Note("the rehearsal speaks against the release, which continues because of --anyway: " + report.Reasons[0].Text)
		return nil
	}
	return fault.WithHint(fmt.Errorf("%s stays as it is: the rehearsal speaks against the release: %s", in.environment, report.Reasons[0].Text), "%s", anyway)
}

// sweep removes what a rehearsal of an environment has left that was killed.
func (a *app) sweep(ctx context.Context, in rehearsing) error {
	if !in.config.Environments[in.environment].Backup.Enabled() {
		return nil
	}
	rehearsals, err := a.openRehearsals(in)
	if err != nil {
		return err
	}
	return rehearsals.Sweep(ctx, a.console.Reporter())
}

// printRehearsal shows what a rehearsal has found.
func (a *app) printRehearsal(r *rehearsal.Report) error {
	for _, line := range r.Lines(time.Now()) {
		if err := a.console.Print("%s", line); err != nil {
			return err
		}
	}
	return nil
}
