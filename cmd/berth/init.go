package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Prepare the provider's cluster: nodes, bucket, ingress",
		Long: `Prepare the cluster of berth.yaml's provider: make it or check that it is there,
and install what every environment needs. Deploys nothing.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.init(command.Context()) },
	}
}

func (a *app) init(ctx context.Context) error {
	c, p, err := a.open("")
	if err != nil {
		return err
	}
	r := a.console.Reporter()
	if err := p.Init(ctx, r); err != nil {
		return err
	}
	cluster, err := p.Cluster(ctx)
	if err != nil {
		return err
	}
	if err := a.parts.install(ctx, cluster, c, r); err != nil {
		return err
	}
	a.console.Print("Cluster %s is ready. Its kubeconfig is %s", cluster.Name, cluster.Kubeconfig)
	return nil
}
