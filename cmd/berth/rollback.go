package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"berth/internal/fault"
	"berth/internal/overview"
)

type rollbackOptions struct {
	environment string
	// revision is the one to go back to; 0 is the last good one before the
	// one that serves.
	revision int
	json     bool
}

func (a *app) rollbackCommand() *cobra.Command {
	var o rollbackOptions
	command := &cobra.Command{
		Use:   "rollback ENV [REV] [--json]",
		Short: "Roll back to an earlier revision",
		Long: `Roll back to a revision that "berth history" lists, or without REV to the last
good one before the one that serves. Data stays as it is.`,
		Args:              arguments(1, "ENV", "REV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			if len(args) > 1 {
				number, err := strconv.Atoi(args[1])
				if err != nil || number < 1 {
					return fault.WithHint(fault.Usage("%q is no revision", args[1]), "berth history %s", o.environment)
				}
				o.revision = number
			}
			return a.rollback(command.Context(), o)
		},
	}
	command.Flags().BoolVar(&o.json, "json", false, "write the revision as JSON")
	return command
}

func (a *app) rollback(ctx context.Context, o rollbackOptions) error {
	c, p, err := a.openEnvironment(ctx, &o.environment)
	if err != nil {
		return err
	}
	cluster, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	revision, err := found.Rollback(ctx, o.environment, o.revision, a.console.Reporter())
	return a.printRevision(revision, err, o.environment, overview.Home(c, cluster, o.environment), o.json)
}
