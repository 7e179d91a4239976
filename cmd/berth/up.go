package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"berth/internal/config"
	"berth/internal/overview"
	"berth/internal/provider"
)

func (a *app) upCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "up [--from-source]",
		Short: "Bring up Kubernetes on this machine and deploy every environment",
		Long: `Bring up Kubernetes on this machine, install the ingress controller and deploy
every environment of berth.yaml in its order. Run it again to continue after an
interruption, to start what "berth down" stopped, or to deploy changes.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.up(command.Context()) },
	}
	a.addFromSource(command)
	return command
}

func (a *app) up(ctx context.Context) error {
	c, p, err := a.open("local")
	if err != nil {
		return err
	}
	if err := a.askForPackages(ctx, p); err != nil {
		return err
	}
	r := a.console.Reporter()
	// Nothing may be changed on a machine where something is missing, so the image
	// waits there; Init then says what it is.
	if !fit(ctx, p) {
		return p.Init(ctx, r)
	}
	// The application's image needs no cluster, and making one takes minutes.
	var image string
	var cluster *provider.Cluster
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		image, err = a.image(groupCtx, c, p)
		return err
	})
	group.Go(func() (err error) {
		cluster, err = a.prepare(groupCtx, c, p)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := a.serviceImages(ctx, c, p, cluster); err != nil {
		return err
	}
	if err := a.databaseImages(ctx, c, p, cluster, c.EnvironmentNames()...); err != nil {
		return err
	}
	found, err := a.parts.releases(cluster, c)
	if err != nil {
		return err
	}
	// One after the other, so that what fails in staging never reaches
	// production.
	for _, environment := range c.EnvironmentNames() {
		if err := a.rehearsed(ctx, rehearsing{c, p, cluster, found, environment}, image, deployOptions{environment: environment}); err != nil {
			return err
		}
		if _, err := found.Deploy(ctx, environment, image, r); err != nil {
			return err
		}
	}
	var hosts []string
	for _, environment := range c.EnvironmentNames() {
		for _, host := range c.Environments[environment].Hosts {
			hosts = append(hosts, config.HostBelow(host))
		}
	}
	if err := a.parts.reach(ctx, cluster, hosts, c.Health, r); err != nil {
		return err
	}
	for _, environment := range c.EnvironmentNames() {
		if home := overview.Home(c, cluster, environment); home != "" {
			r.Note(environment + " serves: " + home)
		}
	}
	if err := a.watchOver(ctx, c, p, cluster, found); err != nil {
		return err
	}
	a.prune(ctx, p, cluster)
	a.printAddresses(c, cluster)
	return nil
}

// watchOver installs what serves no request: backups, the log agent, metrics and the watch. Their
// images are built now and not before, as the log agent's takes minutes the
// first time, which would keep the environments from serving.
func (a *app) watchOver(ctx context.Context, c *config.Config, p provider.Provider, cluster *provider.Cluster, found releases) error {
	whole := ctx
	group, ctx := errgroup.WithContext(ctx)
	image := func(name string) func() (string, error) {
		return func() (string, error) { return a.platformImage(ctx, c, p, name) }
	}
	group.Go(func() error {
		for _, environment := range c.EnvironmentNames() {
			if err := a.installBackups(ctx, c, p, cluster, environment, func() (string, error) { return a.backupImage(ctx, c, p, environment) }); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error { return a.installAgent(ctx, c, p, cluster, image("collector")) })
	group.Go(func() error { return a.installMetrics(ctx, c, p, cluster) })
	if err := group.Wait(); err != nil {
		return err
	}
	// Last: what is only being installed is no problem to tell of.
	return a.installWatch(whole, c, cluster, found, func() (string, error) { return a.platformImage(whole, c, p, "watch") })
}

// fit reports whether the provider finds all that it needs.
func fit(ctx context.Context, p provider.Provider) bool {
	if checker, ok := p.(provider.Checker); ok {
		for _, check := range checker.Check(ctx) {
			if check.Problem != "" {
				return false
			}
		}
	}
	return true
}

func (a *app) printAddresses(c *config.Config, cluster *provider.Cluster) {
	var rows [][]string
	for _, environment := range c.EnvironmentNames() {
		for _, host := range c.Environments[environment].Hosts {
			rows = append(rows, []string{environment, cluster.URL(host)})
		}
	}
	if len(rows) == 0 {
		return
	}
	a.console.Print("")
	a.console.Table([]string{"ENVIRONMENT", "ADDRESS"}, rows)
	if cluster.Authority == nil {
		return
	}
	names := c.EnvironmentNames()
	host := config.HostBelow(c.Environments[names[len(names)-1]].Hosts[0])
	file := cluster.Authority.File()
	a.console.Print("\nTry it:\n  curl --cacert %s %s%s%s", file, resolve(cluster, host), cluster.URL(host), c.Health.Path)
	a.console.Print("\nTrust its certificates on this machine (Debian, Ubuntu), once:\n"+
		"  sudo cp %s /usr/local/share/ca-certificates/berth.crt && sudo update-ca-certificates", file)
}

// resolve is what curl needs to find a host that no DNS server knows. It knows
// itself that names below localhost are this machine (RFC 6761).
func resolve(cluster *provider.Cluster, host string) string {
	if cluster.Ingress == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return ""
	}
	ip, port := cluster.Ingress.TLS()
	return "--resolve " + host + ":" + port + ":" + ip + " "
}
