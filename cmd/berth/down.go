package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"berth/internal/fault"
	"berth/internal/provider"
)

type downOptions struct{ purge bool }

func (a *app) downCommand() *cobra.Command {
	var o downOptions
	command := &cobra.Command{
		Use:   "down [--purge]",
		Short: "Stop Kubernetes on this machine; --purge removes every trace of it",
		Long: `Stop Kubernetes on this machine and everything that runs on it. Nothing is
lost: "berth up" starts it again with its data. With --purge the cluster, its
databases and its backups are removed for good.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.down(command.Context(), o) },
	}
	command.Flags().BoolVar(&o.purge, "purge", false, "remove the cluster and all its data from this machine")
	return command
}

func (a *app) down(ctx context.Context, o downOptions) error {
	_, p, err := a.open("local")
	if err != nil {
		return err
	}
	r := a.console.Reporter()
	if !o.purge {
		stopper, ok := p.(provider.Stopper)
		if !ok {
			return fmt.Errorf("provider %T cannot be stopped", p)
		}
		return stopper.Stop(ctx, r)
	}
	whole, ok := p.(provider.Purger)
	if !ok {
		return fmt.Errorf("provider %T cannot be purged", p)
	}
	// Scripts have said what they mean by --purge; people are asked once more.
	if !a.yes && a.console.Interactive {
		sure, err := a.console.Confirm(ctx, "Remove the cluster on this machine with all databases and backups?")
		if err != nil {
			return err
		}
		if !sure {
			return fault.WithHint(errDeclined, "berth down alone stops the cluster and keeps its data")
		}
	}
	kept, err := whole.Purge(ctx, r)
	if err != nil {
		return err
	}
	a.printKept(kept)
	return nil
}
