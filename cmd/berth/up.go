package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"berth/internal/config"
	"berth/internal/provider"
)

func (a *app) upCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Bring up Kubernetes on this machine and deploy every environment",
		Long: `Bring up Kubernetes on this machine, install the ingress controller and deploy
every environment of berth.yaml in its order. Run it again to go on after an
interruption, to start what "berth down" stopped, or to deploy what changed.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.up(command.Context()) },
	}
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
	// Nothing may be changed on a machine that lacks something, so the image
	// waits there; Init then says what it is.
	if !fit(ctx, p) {
		return p.Init(ctx, r)
	}
	// Images need no cluster, and making one takes minutes. What serves no
	// request is waited for when everything else serves.
	ctx, cancel := context.WithCancel(ctx)
	var image string
	var cluster *provider.Cluster
	group, groupCtx := errgroup.WithContext(ctx)
	built := make(chan struct{})
	group.Go(func() (err error) {
		defer close(built)
		image, err = a.image(groupCtx, c, p)
		return err
	})
	backupImage := later(func() (string, error) {
		if <-built; len(environmentsWithBackups(c)) == 0 {
			return "", nil
		}
		return a.platformImage(ctx, c, p, "backup")
	})
	agentImage := later(func() (string, error) {
		if _, err := backupImage(); err != nil || len(c.LogSinks()) == 0 {
			return "", err // one build at a time leaves more of the machine to Kubernetes
		}
		return a.platformImage(ctx, c, p, "collector")
	})
	defer agentImage() // ends soon once ctx has
	defer cancel()
	group.Go(func() (err error) {
		cluster, err = a.prepare(groupCtx, c, p)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	found, err := a.parts.releases(cluster, c)
	if err != nil {
		return err
	}
	// One after the other, so that what fails in staging never reaches
	// production.
	for _, environment := range c.EnvironmentNames() {
		if _, err := found.Deploy(ctx, environment, image, r); err != nil {
			return err
		}
	}
	var hosts []string
	for _, environment := range c.EnvironmentNames() {
		hosts = append(hosts, c.Environments[environment].Hosts...)
	}
	if err := a.parts.reach(ctx, cluster, hosts, c.Health, r); err != nil {
		return err
	}
	// What is left to do may take minutes the first time.
	for _, environment := range c.EnvironmentNames() {
		r.Note(environment + " serves: " + address(cluster, c.Environments[environment].Hosts[0]))
	}
	for _, environment := range c.EnvironmentNames() {
		if err := a.installBackups(ctx, c, p, cluster, environment, backupImage); err != nil {
			return err
		}
	}
	if err := a.installAgent(ctx, c, p, cluster, agentImage); err != nil {
		return err
	}
	a.printAddresses(c, cluster)
	return nil
}

// later begins work at once and returns a function that waits for it.
func later[T any](work func() (T, error)) func() (T, error) {
	var result T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = work()
	}()
	return func() (T, error) {
		<-done
		return result, err
	}
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

// fit reports whether the provider finds all that it needs.
func fit(ctx context.Context, p provider.Provider) bool {
	if patient, ok := p.(checker); ok {
		for _, check := range patient.Check(ctx) {
			if check.Problem != "" {
				return false
			}
		}
	}
	return true
}

// image returns the image to release: the one that berth.yaml names, or one
// built from its Dockerfile.
func (a *app) image(ctx context.Context, c *config.Config, p provider.Provider) (string, error) {
	if c.Image != "" {
		return c.Image, nil
	}
	build := provider.Build{Name: c.Name, Dockerfile: c.Path(c.Dockerfile), Context: c.Path(c.Context)}
	return p.Publish(ctx, build, a.console.Reporter())
}

func (a *app) printAddresses(c *config.Config, cluster *provider.Cluster) {
	var rows [][]string
	for _, environment := range c.EnvironmentNames() {
		for _, host := range c.Environments[environment].Hosts {
			rows = append(rows, []string{environment, address(cluster, host)})
		}
	}
	a.console.Print("")
	a.console.Table([]string{"ENVIRONMENT", "ADDRESS"}, rows)
	if cluster.Authority == nil {
		return
	}
	names := c.EnvironmentNames()
	host := c.Environments[names[len(names)-1]].Hosts[0]
	file := cluster.Authority.File()
	a.console.Print("\nTry it:\n  curl --cacert %s %s%s%s", file, resolve(cluster, host), address(cluster, host), c.Health)
	a.console.Print("\nTrust its certificates on this machine (Debian, Ubuntu), once:\n"+
		"  sudo cp %s /usr/local/share/ca-certificates/berth.crt && sudo update-ca-certificates", file)
}

// resolve is what curl needs to find a host that no DNS server knows. It knows
// itself that names below localhost are this machine (RFC 6761).
func resolve(cluster *provider.Cluster, host string) string {
	if cluster.Ingress == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return ""
	}
	ip, port := splitAddress(cluster.Ingress.HTTPS)
	return "--resolve " + host + ":" + port + ":" + ip + " "
}
