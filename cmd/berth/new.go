package main

import (
	"strings"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/scaffold"
)

func (a *app) newCommand() *cobra.Command {
	var print, force bool
	command := &cobra.Command{
		Use:   "new [--print] [--force]",
		Short: "Write a berth.yaml for the application in this folder",
		Long: `Write a berth.yaml for the application in this folder, from its Dockerfile,
Procfile, compose.yaml, app.json and the names in .env or its sample. Says what
could not be carried over, and why. An existing berth.yaml is kept.`,
		Args: arguments(0),
		RunE: func(*cobra.Command, []string) error {
			dir := a.dir
			if dir == "" {
				dir = "."
			}
			draft, err := scaffold.Read(dir)
			if err != nil {
				return err
			}
			if print {
				for _, n := range draft.Notes {
					a.console.Reporter().Note(n.String())
				}
				return a.console.Print("%s", strings.TrimSuffix(string(draft.YAML()), "\n"))
			}
			written, err := draft.Write(force)
			if err != nil {
				return err
			}
			a.explainDraft(draft, written)
			return nil
		},
	}
	command.Flags().BoolVar(&print, "print", false, "write it to stdout instead of a file")
	command.Flags().BoolVar(&force, "force", false, "replace an existing berth.yaml")
	return command
}

// explainDraft says what was written, what could not be, and what comes next.
func (a *app) explainDraft(d *scaffold.Draft, written []string) {
	a.console.Print("Wrote %s for %s, from %s.", and(written), d.Name, and(d.Sources))
	if len(d.Notes) > 0 {
		a.console.Print("\nLook at these:")
		for _, n := range d.Notes {
			a.console.Print("  %s", strings.ReplaceAll(n.String(), "\n", "\n    "))
		}
	}
	if missing := d.Missing(); len(missing) > 0 {
		a.console.Print("\nSecrets that .env does not have yet: %s\n  On this machine berth makes them up; elsewhere you have to set them.",
			strings.Join(missing, ", "))
	}
	a.console.Print("\nRead %s, then run it on this machine:\n  berth up", config.File)
}

// and joins names as in a sentence.
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
