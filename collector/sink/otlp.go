package sink

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pdata/plog"

	"berth/collector/structure"
)

// OTLPConfig is the published otlp_http exporter's configuration, and who is
// sending: each aggregator wants to be told in headers of its own.
type OTLPConfig struct {
	otlphttpexporter.Config `mapstructure:",squash"`
	// SourceID is what the aggregator calls the place that lines go to, if it
	// has a name for it.
	SourceID string `mapstructure:"source_id"`
	// APIKey is the aggregator's secret. With it, the headers that the
	// endpoint's owner asks for are set; without, only those of headers are.
	APIKey configopaque.String `mapstructure:"api_key"`
}

// NewOTLPFactory is the published otlp_http exporter as a sink.
func NewOTLPFactory() exporter.Factory {
	published := otlphttpexporter.NewFactory()
	defaults := func() component.Config {
		return &OTLPConfig{Config: *published.CreateDefaultConfig().(*otlphttpexporter.Config)}
	}
	create := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
		own := cfg.(*OTLPConfig)
		c := own.Config
		queue, retry := c.QueueConfig, c.RetryConfig
		c.QueueConfig, c.RetryConfig = Queue{}, Retry{}
		WithAnswers(&c.ClientConfig)
		if own.APIKey != "" {
			for name, value := range credentials(c.ClientConfig.Endpoint, own.SourceID, string(own.APIKey)) {
				c.ClientConfig.Headers.Set(name, configopaque.String(value))
			}
		}
		to, err := published.CreateLogs(ctx, inner(set), &c)
		if err != nil {
			return nil, err
		}
		return New(ctx, set, cfg, queue, retry, structured{to})
	}
	return exporter.NewFactory(published.Type(), defaults, exporter.WithLogs(create, published.LogsStability()))
}

// structured sends lines as records with attributes. What fails stays text, to be
// sent again.
type structured struct{ exporter.Logs }

func (s structured) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	var part rejection
	if err := s.Logs.ConsumeLogs(context.WithValue(ctx, rejectionKey{}, &part), structure.Records(logs)); err != nil {
		return err
	}
	if part.lines > 0 {
		return &part
	}
	return nil
}

// credentials are the headers by which the owner of an endpoint knows the
// sender. docs/logs.md says where each of them documents it.
func credentials(endpoint, sourceID, key string) map[string]string {
	host := ""
	if u, err := url.Parse(endpoint); err == nil {
		host = u.Hostname()
	}
	of := func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }
	bearer := "Bearer " + key
	switch {
	case of("grafana.net"):
		return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(sourceID+":"+key))}
	case of("datadoghq.com"), of("datadoghq.eu"), of("ddog-gov.com"):
		return map[string]string{"dd-api-key": key}
	case of("axiom.co"):
		return map[string]string{"Authorization": bearer, "X-Axiom-Dataset": sourceID}
	default:
		return map[string]string{"Authorization": bearer}
	}
}
