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
	"berth/internal/platform"
	"berth/internal/provider"
)

// installAgent brings the log agent to what berth.yaml says of it.
func (a *app) installAgent(ctx context.Context, c *config.Config, p provider.Provider, cluster *provider.Cluster, image func() (string, error)) error {
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
			r.Note("logs are kept nowhere, as there is no bucket: " + fault.Hint(err))
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

// logReport says how the log lines are doing.
type logReport struct {
	OK      bool                   `json:"ok"`
	Problem string                 `json:"problem,omitempty"`
	Agents  []platform.AgentStatus `json:"agents"`
}

// lookAtLogs asks the agents. What cannot be found out is the report's problem,
// so that the rest of a status is shown.
func (a *app) lookAtLogs(ctx context.Context, c *config.Config, cluster *provider.Cluster) *logReport {
	if len(c.LogSinks()) == 0 {
		return nil
	}
	report := &logReport{Agents: []platform.AgentStatus{}}
	agent, err := a.parts.agent(cluster, c)
	if err == nil {
		report.Agents, err = agent.Status(ctx)
	}
	if err != nil {
		report.Problem = err.Error()
		return report
	}
	report.OK = len(report.Agents) > 0
	for _, agent := range report.Agents {
		report.OK = report.OK && agent.Problem == ""
		for _, sink := range agent.Sinks {
			report.OK = report.OK && sink.State != failingSink
		}
	}
	return report
}

// failingSink is the state of a sink that does not take lines.
const failingSink = "failing"

// sinkNames are what the agent calls its sinks, for people.
var sinkNames = map[string]string{"awss3": config.BucketSink, "otlp_http": config.OTLPSink}

func (a *app) printLogs(report *logReport, now time.Time) {
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
			name := sink.Name
			if known := sinkNames[name]; known != "" {
				name = known
			}
			last := ""
			if !sink.LastSent.IsZero() {
				last = since(sink.LastSent, now) + " ago"
			}
			what := sink.Answer
			if lost := sink.Dropped + sink.Rejected; lost > 0 {
				what = fmt.Sprintf("%d lines were lost. %s", lost, what)
			}
			rows = append(rows, []string{mark(sink.State != failingSink), name, agent.Node, sink.State,
				strconv.FormatInt(sink.Sent, 10), last, what})
		}
	}
	a.console.Table([]string{" ", "LOGS TO", "NODE", "STATE", "LINES", "LAST SENT", ""}, rows)
}
