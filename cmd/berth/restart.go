package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

type restartOptions struct {
	environment, process string
	json                 bool
}

func (a *app) restartCommand() *cobra.Command {
	var o restartOptions
	command := &cobra.Command{
		Use:   "restart ENV [--process NAME] [--json]",
		Short: "Replace the application's pods by new ones, without losing a request",
		Long: `Replace the pods of an environment by new ones of the same revision, one after
the other, and wait until they serve. If they do not come to serve, the old ones
serve on, and you are told why. It makes no revision.`,
		Example:           "  berth restart production --process worker",
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.restart(command.Context(), o)
		},
	}
	command.Flags().StringVar(&o.process, "process", "", "only this process's pods (default: web and workers)")
	command.Flags().BoolVar(&o.json, "json", false, "write what was restarted as JSON")
	return command
}

func (a *app) restart(ctx context.Context, o restartOptions) error {
	c, p, err := a.openEnvironment(ctx, &o.environment)
	if err != nil {
		return err
	}
	_, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	restarted, err := found.Restart(ctx, o.environment, o.process, a.console.Reporter())
	if err != nil {
		return err
	}
	if o.json {
		return a.console.JSON(restarted)
	}
	return a.console.Print("%s serves revision %d with new pods: %s", o.environment, restarted.Revision, strings.Join(restarted.Processes, ", "))
}
