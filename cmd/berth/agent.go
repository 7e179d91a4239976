package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/overview"
	"berth/internal/provider"
)

// installAgent brings the log agent to what berth.yaml says of it.
func (a *app) installAgent(ctx context.Context, c *config.Config, p provider.Provider, cluster *provider.Cluster, image func() (string, error)) error {
	if err := c.CheckLogSinks(); err != nil {
		return err
	}
	agent, err := a.parts.agent(cluster, c)
	if err != nil {
		return err
	}
	r := a.console.Reporter()
	sinks := c.LogSinks()
	var bucket *provider.Bucket
	if slices.Contains(sinks, config.BucketSink) {
		found, err := p.Bucket(ctx)
		switch {
		case err == nil:
			bucket = &found
		case !errors.Is(err, provider.ErrNoBucket):
			return err
		case len(c.Logs.Sinks) > 0:
			return fault.WithHint(fmt.Errorf("logs.sinks names the bucket: %w", err), "%s", fault.Hint(err))
		case len(sinks) == 1:
			r.Note("logs are not kept, because there is no bucket: " + fault.Hint(err))
			sinks = nil
		}
	}
	if len(sinks) == 0 {
		return agent.Remove(ctx, r)
	}
	reference, err := image()
	if err != nil {
		return err
	}
	return agent.Install(ctx, bucket, reference, r)
}

func (a *app) printLogs(report *overview.Logs, now time.Time) {
	if report == nil {
		return
	}
	a.console.Print("")
	if report.Problem != "" {
		a.console.Line(console.Bad, "logs: "+report.Problem)
		return
	}
	var rows [][]string
	for _, agent := range report.Agents {
		if agent.Problem != "" {
			rows = append(rows, []string{console.Bad, "", agent.Node, "", "", "", agent.Problem})
		}
		for _, sink := range agent.Sinks {
			last := ""
			if !sink.LastSent.IsZero() {
				last = since(sink.LastSent, now) + " ago"
			}
			what := sink.Answer
			if lost := sink.Dropped + sink.Rejected; lost > 0 {
				what = fmt.Sprintf("%d lines were lost. %s", lost, what)
			}
			rows = append(rows, []string{mark(sink.State != overview.Failing), overview.SinkName(sink.Name), agent.Node, sink.State,
				strconv.FormatInt(sink.Sent, 10), last, what})
		}
	}
	a.console.Table([]string{" ", "LOGS TO", "NODE", "STATE", "LINES", "LAST SENT", ""}, rows)
}
