package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/alert"
	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/platform"
	"berth/internal/provider"
)

type alertsOptions struct{ json bool }

func (a *app) alertsCommand() *cobra.Command {
	var o alertsOptions
	command := &cobra.Command{
		Use:   "alerts [--json]",
		Short: "Show what is broken now, or send a test alert",
		Long: `Show the problems that the cluster's watch has reported and that still exist. The
exit status is 1 when something is broken. ALERTS_URL in .env says where alerts go.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.alerts(command.Context(), o) },
	}
	test := &cobra.Command{
		Use:   "test [--json]",
		Short: "Send a test message, in the same way as real alerts",
		Long: `Send a test message to every service in ALERTS_URL: from the cluster, as for real
alerts, or from this machine if the cluster has no watch yet.`,
		Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.testAlerts(command.Context(), o) },
	}
	for _, c := range []*cobra.Command{command, test} {
		c.Flags().BoolVar(&o.json, "json", false, "write it as JSON")
	}
	test.DisableFlagsInUseLine = true
	command.AddCommand(test)
	return command
}

// installWatch brings the watch to what .env says of it.
func (a *app) installWatch(ctx context.Context, c *config.Config, cluster *provider.Cluster, found releases, image func() (string, error)) error {
	watch, err := a.parts.watch(cluster, c)
	if err != nil {
		return err
	}
	r := a.console.Reporter()
	to, err := destinations(c)
	if err != nil {
		return err
	}
	if len(to) == 0 {
		// One without .env, as in CI, means no end to the messages.
		if _, named := c.DotEnv[config.AlertsURL]; !named {
			return nil
		}
		return watch.Remove(ctx, r)
	}
	reference, err := image()
	if err != nil {
		return err
	}
	var secrets []string
	for _, environment := range c.EnvironmentNames() {
		secrets = append(secrets, found.Secrets(ctx, environment)...)
	}
	return watch.Install(ctx, reference, to, secrets, r)
}

func (a *app) alerts(ctx context.Context, o alertsOptions) error {
	c, _, watch, err := a.openWatch(ctx)
	if err != nil {
		return err
	}
	report, err := watch.Status(ctx)
	if err != nil {
		return withAlertsHint(c, err)
	}
	if o.json {
		err = a.console.JSON(report)
	} else {
		a.printAlerts(report, time.Now())
	}
	if err == nil && len(report.Problems) > 0 {
		return errReported
	}
	return err
}

func (a *app) openWatch(ctx context.Context) (*config.Config, *provider.Cluster, watcher, error) {
	c, p, err := a.open("")
	if err != nil {
		return nil, nil, nil, err
	}
	cluster, _, err := a.connect(ctx, c, p)
	if err != nil {
		return nil, nil, nil, err
	}
	watch, err := a.parts.watch(cluster, c)
	return c, cluster, watch, err
}

// withAlertsHint says how a watch comes to be.
func withAlertsHint(c *config.Config, err error) error {
	if !errors.Is(err, platform.ErrNoWatch) {
		return err
	}
	if c.DotEnv[config.AlertsURL] == "" {
		return fault.WithHint(err, "set %s=… in .env and deploy; docs/alerts.md has the forms", config.AlertsURL)
	}
	return fault.WithHint(err, "berth deploy %s", c.EnvironmentNames()[0])
}

func (a *app) printAlerts(report *alert.Report, now time.Time) {
	var rows [][]string
	for _, p := range report.Problems {
		rows = append(rows, []string{console.Bad, p.Title, p.Kind, since(p.Since, now), p.Told.Local().Format(time.DateTime)})
	}
	if len(rows) > 0 {
		a.console.Table([]string{" ", "BROKEN", "KIND", "FOR", "TOLD"}, rows)
	} else {
		a.console.Line(console.Good, "nothing is broken")
	}
	for _, p := range report.Suspected {
		a.console.Line(console.Warn, "for "+since(p.Since, now)+", not told yet: "+p.Title)
	}
	for _, environment := range report.Deploying {
		a.console.Line(console.Warn, environment+": a deploy is at work on it, and reports its own problems")
	}
	for _, text := range report.Blind {
		a.console.Line(console.Warn, "not seen: "+text)
	}
	a.console.Print("")
	rows = nil
	for _, d := range report.Destinations {
		last := ""
		if !d.LastSent.IsZero() {
			last = since(d.LastSent, now) + " ago"
		}
		rows = append(rows, []string{mark(d.Problem == ""), d.Name, fmt.Sprint(d.Waiting), last, d.Problem})
	}
	a.console.Table([]string{" ", "TOLD BY", "WAITING", "LAST SENT", ""}, rows)
}

func (a *app) testAlerts(ctx context.Context, o alertsOptions) error {
	c, cluster, watch, err := a.openWatch(ctx)
	if err != nil {
		return err
	}
	from := "the cluster"
	trials, err := watch.Test(ctx)
	if errors.Is(err, platform.ErrNoWatch) {
		to, bad := destinations(c)
		switch {
		case bad != nil:
			return bad
		case len(to) == 0:
			return withAlertsHint(c, err)
		}
		from = "here, as nothing watches the cluster yet"
		trials, err = alert.Test(ctx, to, cluster.Name), nil
	}
	if err != nil {
		return err
	}
	failed := false
	var rows [][]string
	for _, t := range trials {
		failed = failed || t.Problem != ""
		answer := t.Problem
		if answer == "" {
			answer = "has taken it"
		}
		rows = append(rows, []string{mark(t.Problem == ""), t.Name, answer})
	}
	if o.json {
		err = a.console.JSON(trials)
	} else {
		a.console.Print("Sent from %s:", from)
		a.console.Table([]string{" ", "TO", ""}, rows)
	}
	if err == nil && failed {
		return errReported
	}
	return err
}
