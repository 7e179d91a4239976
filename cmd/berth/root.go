package main

import (
	"strings"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/console"
)

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
