// Package frames sends lines as JSON over HTTP, in the way of Timber's API,
// which the application's logs once went to and which the HTTP sources of Better
// Stack and others still take in kind: POST <endpoint>/sources/<source
// id>/frames with a bearer token, one JSON object a line.
package frames

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"

	"berth/collector/sink"
)

// NewFactory makes exporters of the type frames.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("frames"), defaultConfig,
		exporter.WithLogs(func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
			c := *cfg.(*Config)
			sink.WithAnswers(&c.Client)
			return sink.New(ctx, set, cfg, c.Queue, c.Retry, &framesExporter{config: &c, set: set.TelemetrySettings})
		}, component.StabilityLevelStable))
}

type framesExporter struct {
	config *Config
	set    component.TelemetrySettings
	client *http.Client
	url    string
}

func (*framesExporter) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (e *framesExporter) Start(ctx context.Context, host component.Host) error {
	client, err := e.config.Client.ToClient(ctx, host.GetExtensions(), e.set)
	if err != nil {
		return fmt.Errorf("make the HTTP client: %w", err)
	}
	to, err := url.JoinPath(e.config.Client.Endpoint, "sources", url.PathEscape(e.config.SourceID), "frames")
	if err != nil {
		return fmt.Errorf("read the endpoint: %w", err)
	}
	e.client, e.url = client, to
	return nil
}

func (e *framesExporter) Shutdown(context.Context) error {
	if e.client != nil {
		e.client.CloseIdleConnections()
	}
	return nil
}

// ConsumeLogs sends lines in as many requests as their size asks for. Its error
// holds those that are still to be sent.
func (e *framesExporter) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	var body bytes.Buffer
	var begin, lines int
	send := func() error {
		if err := e.post(ctx, body.Bytes()); err != nil {
			return consumererror.NewLogs(err, from(logs, begin))
		}
		begin, lines = begin+lines, 0
		body.Reset()
		return nil
	}
	for _, resource := range logs.ResourceLogs().All() {
		encoder, err := NewEncoder(resource.Resource())
		if err != nil {
			return err
		}
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				frame := encoder.Encode(record, e.config.MaxRequestBytes)
				if lines > 0 && body.Len()+len(frame) > e.config.MaxRequestBytes {
					if err := send(); err != nil {
						return err
					}
				}
				body.Write(frame)
				lines++
			}
		}
	}
	if lines == 0 {
		return nil
	}
	return send()
}

func (e *framesExporter) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Authorization", "Bearer "+string(e.config.APIKey))
	response, err := e.client.Do(request)
	if err != nil {
		return err
	}
	// Read to its end, or the connection is not used again.
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return errors.Join(err, response.Body.Close())
}

// from returns the lines from that one on.
func from(logs plog.Logs, begin int) plog.Logs {
	if begin == 0 {
		return logs
	}
	rest := plog.NewLogs()
	logs.CopyTo(rest)
	rest.ResourceLogs().RemoveIf(func(r plog.ResourceLogs) bool {
		r.ScopeLogs().RemoveIf(func(s plog.ScopeLogs) bool {
			s.LogRecords().RemoveIf(func(plog.LogRecord) bool {
				begin--
				return begin >= 0
			})
			return s.LogRecords().Len() == 0
		})
		return r.ScopeLogs().Len() == 0
	})
	return rest
}
