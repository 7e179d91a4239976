package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/metrics"
	"berth/internal/platform"
	"berth/internal/provider"
	"berth/internal/release"
)

type metricsOptions struct {
	environment string
	// during is how long to count in two looks; 0 where what is kept is wanted.
	during time.Duration
	since  moment
	query  string
	json   bool
}

func (a *app) metricsCommand() *cobra.Command {
	var o metricsOptions
	command := &cobra.Command{
		Use:   "metrics ENV [--since 1h] [--query PROMQL] [--for 10s] [--json]",
		Short: "Show the requests that an environment answers, by status and time",
		Long: `Show the answers of an environment in the last hour, by revision: how many, how many
a second, by the class of their status, and within which time half and 99 of 100
answers began. Requests, errors, times, CPU and memory are shown as lines of blocks.
This needs metrics that are kept: the key metrics in berth.yaml. --query asks them in
PromQL.

If none are kept, or with --for, it reads the ingress' counters twice, 10 seconds apart,
and prints the answers in between.`,
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			if command.Flags().Changed("for") && o.during < time.Second {
				return fault.Usage("--for must be a second or more")
			}
			if o.during > 0 && (o.since != "" || o.query != "") {
				return fault.Usage("--for counts now; --since and --query need metrics that are kept")
			}
			return a.metrics(command.Context(), o)
		},
	}
	command.Flags().DurationVar(&o.during, "for", 0, "count now, for this long (10s if no metrics are kept)")
	command.Flags().Var(&o.since, "since", "show metrics since this time: an age like 30m, 2h or 7d, or a time")
	command.Flags().StringVar(&o.query, "query", "", "a question in PromQL: for now, or with --since over time")
	command.Flags().BoolVar(&o.json, "json", false, "write the figures as JSON")
	return command
}

// usualSince is the time of which what is kept is shown, usualCount how long is counted
// where nothing is.
const (
	usualSince = time.Hour
	usualCount = 10 * time.Second
)

func (a *app) metrics(ctx context.Context, o metricsOptions) error {
	c, p, err := a.openEnvironment(ctx, &o.environment)
	if err != nil {
		return err
	}
	cluster, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	if o.during > 0 {
		return a.count(ctx, found, o)
	}
	kept, err := a.parts.metrics(cluster, c)
	if err != nil {
		return err
	}
	during := usualSince
	if o.since != "" {
		now := time.Now()
		during = now.Sub(o.since.at(now))
		if during < time.Minute {
			return fault.Usage("--since must be a minute or more ago")
		}
	}
	if o.query != "" {
		if o.since == "" {
			during = 0
		}
		series, err := kept.Query(ctx, o.query, during)
		if err != nil {
			return withMetricsHint(c, err)
		}
		return a.printSeries(series, o.json)
	}
	e, err := kept.Environment(ctx, o.environment, during)
	if errors.Is(err, platform.ErrNoMetrics) && o.since == "" {
		if !c.Metrics.Kept() {
			a.console.Reporter().Note("nothing is kept, so this counts for 10 seconds: metrics: 15d in berth.yaml keeps metrics")
		}
		o.during = usualCount
		return a.count(ctx, found, o)
	}
	if err != nil {
		return withMetricsHint(c, err)
	}
	counted := cluster.Ingress != nil && c.HasWeb()
	revisions := []release.Requests{}
	if counted {
		if revisions, err = found.ByRevision(ctx, o.environment, e.Pods, during); err != nil {
			return err
		}
	}
	if o.json {
		return a.console.JSON(struct {
			*metrics.Environment
			Revisions []release.Requests `json:"revisions"`
		}{e, revisions})
	}
	switch {
	case counted:
		a.printRequests(revisions)
		a.console.Print("")
	case c.HasWeb():
		a.console.Reporter().Note("requests are not counted: " + release.ErrForeignIngress.Error())
	}
	a.printPictures(e, counted)
	return nil
}

// withMetricsHint says how metrics come to be kept.
func withMetricsHint(c *config.Config, err error) error {
	if !errors.Is(err, platform.ErrNoMetrics) {
		return err
	}
	if !c.Metrics.Kept() {
		return fault.WithHint(err, "set metrics: 15d in berth.yaml and deploy")
	}
	return fault.WithHint(err, "berth deploy %s", c.EnvironmentNames()[0])
}

// count counts now, in two looks.
func (a *app) count(ctx context.Context, found releases, o metricsOptions) error {
	counted, err := found.Requests(ctx, o.environment, o.during, a.console.Reporter())
	if err != nil {
		return err
	}
	if o.json {
		return a.console.JSON(counted)
	}
	a.printRequests(counted)
	return nil
}

func (a *app) printRequests(all []release.Requests) {
	header := []string{"REV", "PODS", "REQUESTS", "A SECOND"}
	classes := []string{"2xx", "3xx", "4xx", "5xx"}
	var rows [][]string
	for _, r := range all {
		revision := "earlier"
		if r.Revision > 0 {
			revision = strconv.Itoa(r.Revision)
		}
		row := []string{revision, strconv.Itoa(r.Pods), strconv.Itoa(r.Requests), fmt.Sprintf("%.1f", float64(r.Requests)/r.Seconds)}
		for _, class := range classes {
			row = append(row, strconv.Itoa(r.Classes[class]))
		}
		rows = append(rows, append(row, within(r, r.P50), within(r, r.P99)))
	}
	a.console.Table(append(append(header, classes...), "P50", "P99"), rows)
}

// within writes a time that some answers began within.
func within(r release.Requests, seconds *float64) string {
	switch {
	case r.Requests == 0:
		return "-"
	case seconds == nil:
		return fmt.Sprintf("> %gs", r.Most)
	}
	return "≤ " + time.Duration(*seconds*float64(time.Second)).String()
}

// printPictures draws what is kept over time, and writes beside it what it spans.
func (a *app) printPictures(e *metrics.Environment, counted bool) {
	var rows [][]string
	draw := func(title string, values []metrics.Value, write func(float64) string) {
		row := []string{title, metrics.Spark(values)}
		for _, v := range span(values) {
			text := "-"
			if !v.Missing() {
				text = write(float64(v))
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	if counted {
		draw("requests/s", e.Rate, func(v float64) string { return fmt.Sprintf("%.1f", v) })
		draw("5xx", e.Errors, func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) })
		draw("p99", e.P99, func(v float64) string {
			return time.Duration(v * float64(time.Second)).Round(time.Millisecond).String()
		})
	}
	draw("CPU", e.CPU, func(v float64) string { return fmt.Sprintf("%.0fm", 1000*v) })
	draw("memory", e.Memory, func(v float64) string { return fmt.Sprintf("%.0fMi", v/(1<<20)) })
	a.console.Table([]string{"", "SINCE " + e.From.Local().Format(time.DateTime), "LEAST", "MOST", "LAST"}, rows)
}

func span(values []metrics.Value) []metrics.Value {
	least, most, last := metrics.Span(values)
	return []metrics.Value{least, most, last}
}

// printSeries writes what a question in PromQL was answered.
func (a *app) printSeries(all []metrics.Series, asJSON bool) error {
	if asJSON {
		return a.console.JSON(all)
	}
	if len(all) == 0 {
		return a.console.Print("Nothing is kept that this asks for.")
	}
	overTime := slices.ContainsFunc(all, func(s metrics.Series) bool { return len(s.Points) > 1 })
	var rows [][]string
	for _, s := range all {
		var values []metrics.Value
		for _, p := range s.Points {
			values = append(values, p.Value)
		}
		row := []string{labels(s.Labels)}
		if overTime {
			row = append(row, metrics.Spark(values))
			for _, v := range span(values) {
				row = append(row, fmt.Sprintf("%.6g", float64(v)))
			}
		} else {
			_, _, last := metrics.Span(values)
			row = append(row, fmt.Sprintf("%.6g", float64(last)))
		}
		rows = append(rows, row)
	}
	header := []string{"METRIC", "VALUE"}
	if overTime {
		header = []string{"METRIC", "", "LEAST", "MOST", "LAST"}
	}
	a.console.Table(header, rows)
	return nil
}

// labels are those of a series, as PromQL writes them.
func labels(all map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != "__name__" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, all[name]))
		}
	}
	return all["__name__"] + "{" + strings.Join(pairs, ", ") + "}"
}

// installMetrics has metrics kept as berth.yaml says. One that says nothing of them
// leaves things as they are.
func (a *app) installMetrics(ctx context.Context, c *config.Config, p provider.Provider, cluster *provider.Cluster) error {
	if c.Metrics == 0 {
		return nil
	}
	kept, err := a.parts.metrics(cluster, c)
	if err != nil {
		return err
	}
	if c.Metrics.Unwanted() {
		return kept.Remove(ctx, a.console.Reporter())
	}
	image := ""
	// Where a registry is within reach, the chart's own will do.
	if c.Images["metrics"] != "" || cluster.BuildsServices {
		if image, err = a.platformImage(ctx, c, p, "metrics"); err != nil {
			return err
		}
	}
	return kept.Install(ctx, image, a.console.Reporter())
}
