package config

import (
	"slices"
	"strings"

	"berth/internal/fault"
)

// Logs says where the application's log lines go.
type Logs struct {
	// Sinks are any of [BucketSink], [OTLPSink] and [FramesSink], or [NoSink]
	// alone. Without any, lines go to the bucket, and by OTLP too where .env
	// names an endpoint.
	Sinks []string `yaml:"sinks"`
}

// The sinks of log lines: the platform's bucket; an aggregator that takes OTLP
// over HTTP; one that takes JSON lines over HTTP.
const (
	BucketSink = "bucket"
	OTLPSink   = "otlp"
	FramesSink = "frames"
	NoSink     = "none"
)

// The names in .env of an aggregator's settings.
const (
	LogsEndpoint = "LOGS_ENDPOINT"
	LogsSourceID = "LOGS_SOURCE_ID"
	LogsAPIKey   = "LOGS_API_KEY"
)

// LogSinks are the sinks that log lines go to.
func (c *Config) LogSinks() []string {
	switch {
	case slices.Contains(c.Logs.Sinks, NoSink):
		return nil
	case len(c.Logs.Sinks) > 0:
		return c.Logs.Sinks
	case c.DotEnv[LogsEndpoint] != "":
		return []string{BucketSink, OTLPSink}
	}
	return []string{BucketSink}
}

func (c *Config) validateLogs(m *mistakes) {
	known := []string{BucketSink, OTLPSink, FramesSink, NoSink}
	for i, sink := range c.Logs.Sinks {
		if !slices.Contains(known, sink) {
			m.add("logs.sinks", "must be of %s; one is %q", strings.Join(known, ", "), sink)
		}
		if slices.Contains(c.Logs.Sinks[:i], sink) {
			m.add("logs.sinks", "%s is named twice", sink)
		}
		if sink == NoSink && len(c.Logs.Sinks) > 1 {
			m.add("logs.sinks", "%s must stand alone", NoSink)
		}
	}
}

// CheckLogSinks returns an error if .env does not have what a sink needs. Call it
// only to install the log agent: a deploy by CI has no .env.
func (c *Config) CheckLogSinks() error {
	needs := map[string][]string{OTLPSink: {LogsEndpoint, LogsAPIKey}, FramesSink: {LogsEndpoint, LogsAPIKey, LogsSourceID}}
	for _, sink := range c.Logs.Sinks {
		for _, name := range needs[sink] {
			if c.DotEnv[name] == "" {
				return fault.WithHint(fault.Usage("logs.sinks in %s: %s needs %s in .env", File, sink, name), "docs/logs.md has the values for the common aggregators")
			}
		}
	}
	return nil
}
