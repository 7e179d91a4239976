package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "berth",
		Short: "From source to staging and production on Kubernetes",
		Long: `Berth takes a web application from source to staging and production on
Kubernetes: on this machine, at DigitalOcean, or on a cluster that you have.
berth.yaml describes the application; secrets are in .env.

Start with: berth up`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRun: func(*cobra.Command, []string) {
			a.begun = true
			a.console = console.New(a.streams, a.environ, console.Options{Verbose: a.verbose})
		},
	}
	root.SetIn(a.streams.In)
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.Err)
	cobra.EnableCommandSorting = false // the groups below are in the order of use

	flags := root.PersistentFlags()
	flags.StringVarP(&a.dir, "dir", "C", "", "folder of berth.yaml (default: this one or the nearest parent that has one)")
	flags.StringVar(&a.provider, "provider", "", "provider to use instead of berth.yaml's: "+strings.Join(config.Providers, ", "))
	flags.BoolVar(&a.yes, "yes", false, "answer every question with yes")
	flags.BoolVar(&a.verbose, "verbose", false, "print every detail of the progress")

	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"machine", "On this machine:", []*cobra.Command{a.upCommand(), a.downCommand()}},
		{"cluster", "The cluster:", []*cobra.Command{a.initCommand(), a.scaleCommand(), a.destroyCommand()}},
		{"release", "The application:", []*cobra.Command{a.newCommand(), a.previewCommand(), a.rehearseCommand(), a.deployCommand(), a.rollbackCommand(), a.historyCommand(), a.restartCommand(), a.runCommand(), a.execCommand()}},
		{"data", "Data:", []*cobra.Command{a.backupCommand(), a.databaseCommand(), a.psqlCommand()}},
		{"look", "Inspect:", []*cobra.Command{a.statusCommand(), a.dashboardCommand(), a.alertsCommand(), a.logsCommand(), a.metricsCommand(), a.configCommand(), a.forwardCommand(), a.doctorCommand(), a.versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, command := range group.commands {
			command.GroupID = group.id
			command.DisableFlagsInUseLine = true // they say which flags matter
			root.AddCommand(command)
		}
	}
	root.SetHelpCommandGroupID("look")
	root.SetCompletionCommandGroupID("look")
	root.AddCommand(a.superviseCommand(), a.bootCommand(), a.haltCommand())
	return root
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

// addFromSource gives a command that makes a cluster the flag for it.
func (a *app) addFromSource(command *cobra.Command) {
	command.Flags().BoolVar(&a.fromSource, "from-source", false, "compile and build everything here, and download nothing from berth's release")
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

// environmentNames completes an ENV on the command line.
func (a *app) environmentNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := a.load("")
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Clone(c.EnvironmentNames()), cobra.ShellCompDirectiveNoFileComp
}
