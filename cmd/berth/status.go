package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/images"
	"berth/internal/kube"
	"berth/internal/overview"
	"berth/internal/provider"
)

type statusOptions struct {
	// environment is the only one to show; empty shows all.
	environment string
	json, watch bool
}

// watchPause is the time between two looks of status --watch.
const watchPause = 2 * time.Second

func (a *app) statusCommand() *cobra.Command {
	var o statusOptions
	command := &cobra.Command{
		Use:   "status [ENV] [--watch] [--json]",
		Short: "Show cluster, nodes, environments, backups and logs at a glance",
		Long: `Show the cluster and its nodes; the address, revision, pods and last good backup of
every environment; whether log lines arrive; current alerts; and whether metrics are
kept. The exit status is 1 when a node or an environment is down, when a good backup is
overdue, when the database's log does not reach the bucket, when a sink does not accept
log lines, when alerts cannot be delivered, or when a source of metrics does not answer.
With ENV, show only that environment, which may be a branch's preview.`,
		Args:              arguments(1, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.environment = args[0]
			}
			return a.status(command.Context(), o)
		},
	}
	command.Flags().BoolVar(&o.json, "json", false, "write it as JSON")
	command.Flags().BoolVar(&o.watch, "watch", false, "refresh every two seconds until interrupted")
	return command
}

func (a *app) status(ctx context.Context, o statusOptions) error {
	if o.watch && o.json {
		return fault.Usage("--watch is for people and --json for programs: take one of them")
	}
	open := func() (*config.Config, provider.Provider, error) { return a.open("") }
	if o.environment != "" {
		open = func() (*config.Config, provider.Provider, error) { return a.openEnvironment(ctx, &o.environment) }
	}
	c, p, err := open()
	if err != nil {
		return err
	}
	if o.environment != "" {
		c = c.Only(o.environment)
	}
	for {
		seen, err := a.look(ctx, c, p)
		switch {
		case err != nil && o.watch && ctx.Err() == nil:
			a.console.ClearScreen()
			a.console.Error(err) // a cluster that is away may come back
		case err != nil && o.watch:
			return nil // an interrupt is how watching ends
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
func (a *app) look(ctx context.Context, c *config.Config, p provider.Provider) (*overview.Report, error) {
	cluster, found, err := a.connect(ctx, c, p)
	if err != nil {
		return nil, err
	}
	return a.looker(c, p, cluster, found).All(ctx)
}

// looker is what looks at a cluster.
func (a *app) looker(c *config.Config, p provider.Provider, cluster *provider.Cluster, found releases) *overview.Looker {
	return &overview.Looker{
		Config: c, Cluster: cluster, Releases: found,
		Backups: func(environment string) (overview.Backups, error) { return a.parts.backups(cluster, c, environment) },
		Archive: func(ctx context.Context, environment string) (overview.Archive, error) {
			return a.archiveOf(ctx, c, p, environment)
		},
		Agent: func() (overview.Agent, error) { return a.parts.agent(cluster, c) },
		Watch: func() (overview.Watch, error) { return a.parts.watch(cluster, c) },
		Kept:  func() (overview.Kept, error) { return a.parts.metrics(cluster, c) },
	}
}

func (a *app) printReport(seen *overview.Report, now time.Time) {
	a.console.Heading("Cluster " + seen.Cluster + " (" + seen.Provider + ")")
	var rows [][]string
	measured := slices.ContainsFunc(seen.Nodes, func(n overview.Node) bool { return n.Usage != nil })
	for _, node := range seen.Nodes {
		rows = append(rows, slices.Concat([]string{mark(node.Ready), node.Name, node.State, node.Version, node.CPUs, node.Memory},
			usageCells(measured, node.Usage), []string{since(node.Since, now)}))
	}
	a.console.Table(slices.Concat([]string{" ", "NODE", "STATE", "VERSION", "CPUS", "MEMORY"}, usageHeader(measured), []string{"AGE"}), rows)

	a.console.Print("")
	rows = nil
	var warnings []string
	measured = slices.ContainsFunc(seen.Environments, func(e overview.Environment) bool { return e.Usage() != nil })
	for _, e := range seen.Environments {
		row, what := []string{mark(e.Serving), e.Environment, e.Address, "", "", ""}, "nothing is deployed"
		if e.Deployed {
			row = []string{mark(e.Serving), e.Environment, e.Address, strconv.Itoa(e.Revision.Number),
				fmt.Sprintf("%d/%d", e.Ready, e.Wanted), since(e.Revision.When, now)}
			what = images.Short(e.Revision.Image)
		}
		rows = append(rows, slices.Concat(row, usageCells(measured, e.Usage()), []string{what}))
		if e.Busy != "" {
			warnings = append(warnings, e.Environment+": "+e.Busy+" is at work on it")
		}
		for _, warning := range e.Warnings {
			warnings = append(warnings, e.Environment+": "+warning)
		}
	}
	a.console.Table(slices.Concat([]string{" ", "ENVIRONMENT", "ADDRESS", "REV", "PODS", "SINCE"}, usageHeader(measured), []string{"IMAGE"}), rows)
	a.printBackups(seen.Backups, now)
	a.printLogs(seen.Logs, now)
	if seen.Alerts != nil {
		a.console.Print("")
		a.console.Line(mark(seen.Alerts.OK()), seen.Alerts.Line())
	}
	if seen.Metrics != nil {
		a.console.Print("")
		a.console.Line(mark(seen.Metrics.OK()), seen.Metrics.Line())
	}
	if len(warnings) > 0 {
		a.console.Print("")
		for _, warning := range warnings {
			a.console.Line(console.Warn, warning)
		}
	}
}

func (a *app) printBackups(all []overview.Backup, now time.Time) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, r := range all {
		row := []string{mark(r.OK), r.Environment, "none yet", "", "", "", "", r.Stream.String(), r.Problem}
		if l := r.Last; l != nil {
			state := "verified"
			if !l.Verified {
				state = "unverified"
			}
			row = []string{mark(r.OK), r.Environment, since(l.Made, now) + " ago", state, l.ID, humanize.Bytes(uint64(max(0, l.Bytes))), "", r.Stream.String(), r.Problem}
		}
		if r.Due != nil {
			row[6] = r.Due.Local().Format(time.DateTime)
		}
		rows = append(rows, row)
	}
	a.console.Print("")
	a.console.Table([]string{" ", "BACKUPS OF", "LAST GOOD", "STATE", "ID", "SIZE", "NEXT", "LOG", ""}, rows)
}

// usageHeader and usageCells are the columns of CPU and memory, in Kubernetes'
// own units, as kubectl top has them. Where nothing is measured there are none.
func usageHeader(measured bool) []string {
	if !measured {
		return nil
	}
	return []string{"CPU USED", "MEMORY USED"}
}

func usageCells(measured bool, u *kube.Usage) []string {
	switch {
	case !measured:
		return nil
	case u == nil:
		return []string{"", ""}
	}
	return []string{fmt.Sprintf("%dm", u.CPU), fmt.Sprintf("%dMi", u.Memory>>20)}
}
