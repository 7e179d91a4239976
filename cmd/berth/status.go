package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/provider"
	"berth/internal/release"
)

type statusOptions struct{ json, watch bool }

// watchPause is the time between two looks of status --watch.
const watchPause = 2 * time.Second

// report is how everything is doing. As JSON it is what programs read.
type report struct {
	// OK says that nothing is down; the command's exit status says it too.
	OK           bool          `json:"ok"`
	Provider     string        `json:"provider"`
	Cluster      string        `json:"cluster"`
	Nodes        []node        `json:"nodes"`
	Environments []environment `json:"environments"`
	// Backups of the environments that have any.
	Backups []backupReport `json:"backups"`
	// Logs is null where lines go nowhere.
	Logs *logReport `json:"logs"`
}

type environment struct {
	Address string `json:"address"`
	release.Status
}

func (a *app) statusCommand() *cobra.Command {
	var o statusOptions
	command := &cobra.Command{
		Use:   "status [--watch]",
		Short: "Show cluster, nodes, environments, backups and logs at a glance",
		Long: `Show the cluster, its nodes, for every environment its address, revision, pods
and last good backup, and whether log lines arrive. The exit status is 1 when a
node or an environment is down, when no good backup was made although one was
due, or when a sink does not take log lines.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.status(command.Context(), o) },
	}
	command.Flags().BoolVar(&o.json, "json", false, "write it as JSON")
	command.Flags().BoolVar(&o.watch, "watch", false, "look again every two seconds until interrupted")
	return command
}

func (a *app) status(ctx context.Context, o statusOptions) error {
	if o.watch && o.json {
		return fault.Usage("--watch is for people and --json for programs: take one of them")
	}
	c, p, err := a.open("")
	if err != nil {
		return err
	}
	for {
		seen, err := a.look(ctx, c, p)
		switch {
		case err != nil && o.watch && ctx.Err() == nil:
			a.console.ClearScreen()
			a.console.Error(err) // a cluster that is away may come back
		case err != nil && o.watch:
			return nil // whoever watches ends it by an interrupt
		case err != nil:
			return err
		case o.json:
			if err := a.console.JSON(seen); err != nil {
				return err
			}
		default:
			if o.watch {
				a.console.ClearScreen()
			}
			a.printReport(seen, time.Now())
		}
		if !o.watch {
			if !seen.OK {
				return errReported
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
	}
}

// look asks the cluster for everything at once.
func (a *app) look(ctx context.Context, c *config.Config, p provider.Provider) (*report, error) {
	cluster, found, err := a.connect(ctx, c, p)
	if err != nil {
		return nil, err
	}
	names := c.EnvironmentNames()
	scheduled := environmentsWithBackups(c)
	seen := &report{
		Provider: c.Provider, Cluster: cluster.Name,
		Environments: make([]environment, len(names)), Backups: make([]backupReport, len(scheduled)),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		seen.Nodes, err = nodes(ctx, cluster)
		return err
	})
	for i, name := range names {
		group.Go(func() error {
			status, err := found.Status(ctx, name)
			if err != nil {
				return fmt.Errorf("status of %s: %w", name, err)
			}
			seen.Environments[i] = environment{homeAddress(c, cluster, name), status}
			return nil
		})
	}
	for i, name := range scheduled {
		group.Go(func() error {
			seen.Backups[i] = a.lookAtBackups(ctx, c, p, cluster, name)
			return nil
		})
	}
	group.Go(func() error {
		seen.Logs = a.lookAtLogs(ctx, c, cluster)
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	seen.OK = seen.Logs == nil || seen.Logs.OK
	for _, node := range seen.Nodes {
		seen.OK = seen.OK && node.Ready
	}
	for _, environment := range seen.Environments {
		seen.OK = seen.OK && environment.Serving
	}
	for _, backups := range seen.Backups {
		seen.OK = seen.OK && backups.OK
	}
	return seen, nil
}

func (a *app) printReport(seen *report, now time.Time) {
	a.console.Heading("Cluster " + seen.Cluster + " (" + seen.Provider + ")")
	var rows [][]string
	for _, node := range seen.Nodes {
		rows = append(rows, []string{mark(node.Ready), node.Name, node.State, node.Version,
			node.CPUs, node.Memory, since(node.Since, now)})
	}
	a.console.Table([]string{" ", "NODE", "STATE", "VERSION", "CPUS", "MEMORY", "AGE"}, rows)

	a.console.Print("")
	rows = nil
	var warnings []string
	for _, e := range seen.Environments {
		row := []string{mark(e.Serving), e.Environment, e.Address, "", "", "", "nothing is deployed"}
		if e.Deployed {
			row = []string{mark(e.Serving), e.Environment, e.Address, strconv.Itoa(e.Revision.Number),
				fmt.Sprintf("%d/%d", e.Ready, e.Wanted), since(e.Revision.When, now), e.Revision.Image}
		}
		rows = append(rows, row)
		if e.Busy != "" {
			warnings = append(warnings, e.Environment+": "+e.Busy+" is at work on it")
		}
		for _, warning := range e.Warnings {
			warnings = append(warnings, e.Environment+": "+warning)
		}
	}
	a.console.Table([]string{" ", "ENVIRONMENT", "ADDRESS", "REV", "PODS", "SINCE", "IMAGE"}, rows)
	a.printBackups(seen.Backups, now)
	a.printLogs(seen.Logs, now)
	if len(warnings) > 0 {
		a.console.Print("")
		for _, warning := range warnings {
			a.console.Line(console.Warn, warning)
		}
	}
}

func mark(good bool) string {
	if good {
		return console.Good
	}
	return console.Bad
}
