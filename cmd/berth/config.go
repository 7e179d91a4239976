package main

import (
	"context"

	"github.com/spf13/cobra"

	"berth/internal/images"
)

type configOptions struct {
	environment, process string
	json                 bool
}

func (a *app) configCommand() *cobra.Command {
	var o configOptions
	command := &cobra.Command{
		Use:   "config ENV [--process NAME] [--json]",
		Short: "Show the application's environment variables, and what the next deploy changes",
		Long: `Show every environment variable of the deployed application, where it comes from,
and whether berth.yaml and .env have changed since. For a secret it shows a
checksum instead of the value.`,
		Example:           "  berth config production",
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.config(command.Context(), o)
		},
	}
	command.Flags().StringVar(&o.process, "process", "", "show this process (default: web)")
	command.Flags().BoolVar(&o.json, "json", false, "write it as JSON")
	return command
}

func (a *app) config(ctx context.Context, o configOptions) error {
	c, p, err := a.openEnvironment(ctx, &o.environment)
	if err != nil {
		return err
	}
	_, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	given, err := found.Given(ctx, o.environment, o.process)
	if err != nil {
		return err
	}
	if o.json {
		return a.console.JSON(given)
	}
	var rows [][]string
	for _, v := range given.Variables {
		value := v.Value
		if v.Secret {
			value = "secret " + v.Checksum
		}
		rows = append(rows, []string{v.Name, value, v.From, string(v.Now)})
	}
	a.console.Print("%s of %s, revision %d, image %s", given.Process, o.environment, given.Revision, images.Short(given.Image))
	a.console.Table([]string{"NAME", "VALUE", "FROM", "NEXT DEPLOY"}, rows)
	if given.Differs {
		return a.console.Print("berth.yaml or .env have changed since the last deploy: berth deploy %s", o.environment)
	}
	return a.console.Print("The deployed application is what berth.yaml and .env describe.")
}
