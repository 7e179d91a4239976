package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/console"
	"berth/internal/images"
	"berth/internal/release"
)

type historyOptions struct {
	environment string
	json        bool
}

func (a *app) historyCommand() *cobra.Command {
	var o historyOptions
	command := &cobra.Command{
		Use:               "history ENV [--json]",
		Short:             "List an environment's revisions",
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.history(command.Context(), o)
		},
	}
	command.Flags().BoolVar(&o.json, "json", false, "write the revisions as JSON")
	return command
}

func (a *app) history(ctx context.Context, o historyOptions) error {
	c, p, err := a.openEnvironment(ctx, &o.environment)
	if err != nil {
		return err
	}
	_, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	revisions, err := found.History(ctx, o.environment)
	if err != nil {
		return err
	}
	if o.json {
		if revisions == nil {
			revisions = []release.Revision{}
		}
		return a.console.JSON(revisions)
	}
	var rows [][]string
	for _, revision := range revisions {
		mark := " "
		if revision.State == release.StateDeployed {
			mark = console.Good
		}
		rows = append(rows, []string{
			mark, strconv.Itoa(revision.Number), revision.When.Local().Format(time.DateTime),
			string(revision.State), commit(revision), images.Short(revision.Image), revision.Who,
			strings.TrimSuffix(revision.Description, " by "+revision.Who),
		})
	}
	a.console.Table([]string{" ", "REV", "WHEN", "STATE", "COMMIT", "IMAGE", "WHO", "WHAT"}, rows)
	return nil
}

// commit is short, and "+" stands for changes that were not committed.
func commit(r release.Revision) string {
	short := r.Commit[:min(len(r.Commit), 10)]
	if r.Dirty {
		short += "+"
	}
	return short
}
