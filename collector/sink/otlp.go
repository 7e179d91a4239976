package sink

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

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

// rejection is a partial success: the sink took the lines but for some, of which it
// does not say which, and does not want any of them again. The published exporter
// takes that for a success.
// https://opentelemetry.io/docs/specs/otlp/#partial-success-1
type rejection struct {
	lines int
	text  string
}

func (r *rejection) Error() string { return r.text }

// rejectionKey is that of a rejection in the context of a request.
type rejectionKey struct{}

// note reads a successful answer, and leaves it to be read again.
func (r *rejection) note(response *http.Response) error {
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("read the sink's answer: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	answer := plogotlp.NewExportResponse()
	switch kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind {
	case "application/x-protobuf":
		err = answer.UnmarshalProto(body)
	case "application/json":
		err = answer.UnmarshalJSON(body)
	}
	if err != nil {
		// It took the lines, whatever else it says.
		return nil
	}
	part := answer.PartialSuccess()
	r.lines, r.text = int(part.RejectedLogRecords()), oneLine(part.ErrorMessage())
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
