package main

import (
	"context"

	"github.com/spf13/cobra"

	"berth/internal/fault"
	"berth/internal/provider"
)

type scaleOptions struct {
	provider.Scale
	nodesGiven bool
}

func (a *app) scaleCommand() *cobra.Command {
	var o scaleOptions
	command := &cobra.Command{
		Use:   "scale [--nodes N] [--size S]",
		Short: "Change the number of nodes and what each offers",
		Long: `Change the number of nodes, or what each offers to pods, without losing a
request: new nodes are added before old ones are drained.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error {
			o.nodesGiven = command.Flags().Changed("nodes")
			return a.scale(command.Context(), o)
		},
	}
	command.Flags().IntVar(&o.Nodes, "nodes", 0, "number of nodes")
	command.Flags().StringVar(&o.Size, "size", "", "what each node offers, like s-2vcpu-4gb")
	return command
}

func (a *app) scale(ctx context.Context, o scaleOptions) error {
	switch {
	case !o.nodesGiven && o.Size == "":
		return fault.WithHint(fault.Usage("scale to what?"), "berth scale --nodes 3, or berth scale --size s-2vcpu-4gb")
	case o.nodesGiven && o.Nodes < 1:
		return fault.WithHint(fault.Usage("--nodes must be 1 or more; it is %d", o.Nodes), "berth down stops the cluster")
	}
	c, p, err := a.open("")
	if err != nil {
		return err
	}
	if check := p.Traits().CheckSize; check != nil && o.Size != "" {
		if err := check(o.Size); err != nil {
			return fault.Usage("--size %w", err)
		}
	}
	if _, _, err := a.connect(ctx, c, p); err != nil {
		return err
	}
	return p.Scale(ctx, o.Scale, a.console.Reporter())
}
