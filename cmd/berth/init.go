package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
)

func (a *app) initCommand() *cobra.Command {
	var o planOptions
	command := &cobra.Command{
		Use:   "init [--plan [--json]] [--from-source]",
		Short: "Prepare the provider's cluster: nodes, bucket, ingress",
		Long: `Prepare the cluster of berth.yaml's provider: make it or check that it is there,
and install what every environment needs. Deploys nothing.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error {
			if o.plan {
				return a.plan(command.Context(), o)
			}
			return a.init(command.Context())
		},
	}
	command.Flags().BoolVar(&o.plan, "plan", false, "show what would change and what it costs a month, and change nothing")
	command.Flags().BoolVar(&o.json, "json", false, "with --plan, write it as JSON")
	a.addFromSource(command)
	return command
}

func (a *app) init(ctx context.Context) error {
	c, p, err := a.open("")
	if err != nil {
		return err
	}
	if err := a.askForPackages(ctx, p); err != nil {
		return err
	}
	if err := a.askForMoney(ctx, p); err != nil {
		return err
	}
	cluster, err := a.prepare(ctx, c, p)
	if err != nil {
		return err
	}
	// First what nothing can keep from being made, and what takes its time to be
	// known everywhere.
	if namer, ok := p.(provider.Namer); ok {
		if err := namer.MakeRecords(ctx, a.console.Reporter()); err != nil {
			return err
		}
	}
	err = a.installAgent(ctx, c, p, cluster, func() (string, error) { return a.platformImage(ctx, c, p, "collector") })
	if err != nil {
		return err
	}
	a.console.Print("Cluster %s is ready. Look at it with:\n  kubectl --kubeconfig %s --context %s get nodes",
		cluster.Name, cluster.Kubeconfig, cluster.Name)
	return nil
}

// prepare makes the cluster and installs what every environment needs.
func (a *app) prepare(ctx context.Context, c *config.Config, p provider.Provider) (*provider.Cluster, error) {
	r := a.console.Reporter()
	if err := p.Init(ctx, r); err != nil {
		return nil, err
	}
	cluster, err := p.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	return cluster, a.parts.install(ctx, cluster, c, r)
}

// askForPackages asks a person before packages are installed on the machine. A
// script has said what it wants by calling berth.
func (a *app) askForPackages(ctx context.Context, p provider.Provider) error {
	installer, ok := p.(provider.Installer)
	if !ok || a.yes || !a.console.Interactive {
		return nil
	}
	missing := installer.MissingPackages()
	if len(missing) == 0 {
		return nil
	}
	sure, err := a.console.Confirm(ctx, "Install these packages on this machine: "+strings.Join(missing, ", ")+"?")
	if err != nil {
		return err
	}
	if !sure {
		return fault.WithHint(errors.New("the cluster on this machine needs these packages"),
			"apt-get install %s", strings.Join(missing, " "))
	}
	return nil
}
