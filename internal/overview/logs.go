package overview

import (
	"context"

	"berth/internal/config"
	"berth/internal/platform"
)

// Logs says how the log lines are doing.
type Logs struct {
	OK      bool                   `json:"ok"`
	Problem string                 `json:"problem,omitempty"`
	Agents  []platform.AgentStatus `json:"agents"`
}

// Logs asks the log agents; nil where lines go nowhere. What cannot be found out is
// the problem that is returned, so that the rest of a status is shown.
func (l *Looker) Logs(ctx context.Context) *Logs {
	if len(l.Config.LogSinks()) == 0 {
		return nil
	}
	report := &Logs{Agents: []platform.AgentStatus{}}
	agent, err := l.Agent()
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
			report.OK = report.OK && sink.State != Failing
		}
	}
	return report
}

// Failing is the state of a sink that does not take lines.
const Failing = "failing"

// SinkName is what berth.yaml calls a sink of the agent's.
func SinkName(name string) string {
	if known := sinks[name]; known != "" {
		return known
	}
	return name
}

var sinks = map[string]string{"awss3": config.BucketSink, "otlp_http": config.OTLPSink}
