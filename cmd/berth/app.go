package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth/internal/alert"
	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/prebuilt"
	"berth/internal/provider"
)

// app is what all commands of one run share.
type app struct {
	streams console.Streams
	args    []string
	environ []string
	parts   parts

	dir, provider string
	yes, verbose  bool
	// fromSource leaves the release that this berth is of aside.
	fromSource bool
	release    *prebuilt.Release

	console *console.Console
	// begun is set when the flags and arguments were good.
	begun bool
}

// open reads the configuration and opens its provider. It refuses names of
// environments that berth.yaml does not have.
func (a *app) open(fixed string, environments ...string) (*config.Config, provider.Provider, error) {
	c, err := a.load(fixed)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range environments {
		if _, ok := c.Environments[name]; !ok {
			return nil, nil, fault.WithHint(fault.Usage("there is no environment %q", name),
				"berth.yaml has: %s", strings.Join(c.EnvironmentNames(), ", "))
		}
	}
	p, err := a.parts.provider(c)
	if err != nil {
		return nil, nil, err
	}
	if err := a.findRelease(c, p); err != nil {
		return nil, nil, err
	}
	if local, ok := p.(provider.Rooted); ok && local.NeedsRoot() {
		return nil, nil, a.parts.sudo(a.args, slices.Collect(maps.Keys(c.DotEnv)), a.environ, a.console.Interactive)
	}
	return c, p, nil
}

// openEnvironment is open for commands that work on what is deployed, which may be a
// preview: its branch or its own name stands in the place of an environment's. It puts
// the environment's name there.
func (a *app) openEnvironment(ctx context.Context, environment *string) (*config.Config, provider.Provider, error) {
	c, err := a.load("")
	if err != nil {
		return nil, nil, err
	}
	if _, known := c.Environments[*environment]; known || !c.Previews.Enabled() {
		return a.open("", *environment)
	}
	c, p, _, found, err := a.openPreviews(ctx)
	if err != nil {
		return nil, nil, err
	}
	one, err := found.Find(ctx, *environment)
	if err != nil {
		return nil, nil, err
	}
	if one == nil {
		_, _, err := a.open("", *environment)
		return nil, nil, err // which names those that are there
	}
	*environment = one.Environment
	return c.Preview(one.Environment, one.Host), p, nil
}

// load reads the configuration. A provider given here goes before --provider,
// which goes before berth.yaml's.
func (a *app) load(fixed string) (*config.Config, error) {
	dir := a.dir
	if dir == "" {
		found, err := config.Find(".")
		if err != nil {
			return nil, err
		}
		dir = found
	}
	c, err := config.Load(dir, a.environ)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{a.provider, fixed} {
		if name != "" {
			c.Provider = name
		}
	}
	if _, err := destinations(c); err != nil {
		return nil, err
	}
	return c, c.Validate()
}

// destinations reads where messages go; none where nothing is to be told.
func destinations(c *config.Config) ([]alert.Destination, error) {
	found, err := alert.Parse(c.DotEnv[config.AlertsURL])
	if err != nil {
		return nil, fault.Usage("%s in .env: %w", config.AlertsURL, err)
	}
	return found, nil
}

// findRelease finds the release of berth that has built already what a cluster
// runs, unless all of it is to be made from source.
func (a *app) findRelease(c *config.Config, p provider.Provider) (err error) {
	if a.fromSource {
		return nil
	}
	if a.release, err = prebuilt.Find(c.DotEnv[config.BerthRelease]); err != nil {
		return err
	}
	if taker, ok := p.(provider.ReleaseTaker); ok {
		taker.TakeFrom(a.release)
	}
	return nil
}

// connect opens the provider's cluster and the releases on it.
func (a *app) connect(ctx context.Context, c *config.Config, p provider.Provider) (*provider.Cluster, releases, error) {
	cluster, err := p.Cluster(ctx)
	if err != nil {
		if errors.Is(err, provider.ErrNotUp) && fault.Hint(err) == "" {
			err = fault.WithHint(err, "berth init")
		}
		return nil, nil, err
	}
	found, err := a.parts.releases(cluster, c)
	return cluster, found, err
}

// openPreviews opens the previews of the application.
func (a *app) openPreviews(ctx context.Context) (*config.Config, provider.Provider, *provider.Cluster, previews, error) {
	c, p, err := a.open("")
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if !c.Previews.Enabled() {
		return nil, nil, nil, nil, fault.WithHint(fault.Usage("berth.yaml has no previews"),
			"name the environment that they are modelled on: previews: {from: %s}", c.EnvironmentNames()[len(c.EnvironmentNames())-1])
	}
	cluster, _, err := a.connect(ctx, c, p)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	found, err := a.parts.previews(cluster, c)
	return c, p, cluster, found, err
}

// addFromSource gives a command that makes a cluster the flag for it.
func (a *app) addFromSource(command *cobra.Command) {
	command.Flags().BoolVar(&a.fromSource, "from-source", false, "compile and build everything here, and download nothing from berth's release")
}

// arguments returns a check for the positional arguments, named as in the
// usage line: the last optional ones may be missing.
func arguments(optional int, names ...string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		var err error
		switch {
		case len(args) < len(names)-optional:
			err = fmt.Errorf("berth %s needs %s", command.Name(), names[len(args)])
		case len(args) > len(names):
			err = fmt.Errorf("berth %s takes no argument %q", command.Name(), args[len(names)])
		}
		return fault.WithHint(err, "%s", command.UseLine())
	}
}

// environmentNames completes an ENV on the command line.
func (a *app) environmentNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := a.load("")
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Clone(c.EnvironmentNames()), cobra.ShellCompDirectiveNoFileComp
}
