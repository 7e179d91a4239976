package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"berth/internal/console"
	"berth/internal/provider"
)

type doctorOptions struct{ json bool }

func (a *app) doctorCommand() *cobra.Command {
	var o doctorOptions
	command := &cobra.Command{
		Use:   "doctor [--json]",
		Short: "List what is missing on this machine or cluster, and how to fix it",
		Long: `Check what the provider needs and change nothing. Each failed check comes with
the command that fixes it, and the exit status is then 1.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.doctor(command.Context(), o) },
	}
	command.Flags().BoolVar(&o.json, "json", false, "write the checks as JSON")
	return command
}

func (a *app) doctor(ctx context.Context, o doctorOptions) error {
	c, err := a.load("")
	if err != nil {
		return err
	}
	// It changes nothing, so it does not ask for root: that it is needed is one
	// of its lines.
	p, err := a.parts.provider(c)
	if err != nil {
		return err
	}
	if err := a.findRelease(c, p); err != nil {
		return err
	}
	checker, ok := p.(provider.Checker)
	if !ok {
		return fmt.Errorf("provider %T has no checks", p)
	}
	checks := checker.Check(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	healthy := true
	for _, check := range checks {
		healthy = healthy && check.Problem == ""
	}
	if o.json {
		if err := a.console.JSON(map[string]any{"ok": healthy, "checks": checks}); err != nil {
			return err
		}
	} else {
		a.printChecks(checks)
	}
	if !healthy {
		return errReported
	}
	return nil
}

func (a *app) printChecks(checks []provider.Check) {
	for _, check := range checks {
		if check.Problem == "" {
			a.console.Line(console.Good, check.Name)
			continue
		}
		a.console.Line(console.Bad, check.Name+": "+check.Problem)
		if check.Remedy != "" {
			a.console.Line(" ", "  "+check.Remedy)
		}
	}
}
