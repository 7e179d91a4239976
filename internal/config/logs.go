package config

import (
	"slices"
	"strings"
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
		if sink == OTLPSink || sink == FramesSink {
			for _, name := range []string{LogsEndpoint, LogsAPIKey} {
				// Validation also runs before .env has been read.
				if c.DotEnv != nil && c.DotEnv[name] == "" {
					m.add("logs.sinks", "%s needs %s in .env", sink, name)
				}
			}
		}
		if sink == FramesSink && c.DotEnv != nil && c.DotEnv[LogsSourceID] == "" {
			m.add("logs.sinks", "%s needs %s in .env", sink, LogsSourceID)
		}
	}
}
