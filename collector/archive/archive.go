// Package archive is how lines are kept in a bucket: frames, as an aggregator
// gets them, compressed by gzip, so that zcat, grep and jq are all it takes to
// read them. `berth logs` reads them, too (internal/logs).
//
// It is an encoding for the published awss3 exporter. Of those that it has, the
// one for people, OTLP in JSON, costs the agent twice as much, as its names are
// written again for each value, whole, before they are compressed.
package archive

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/klauspost/compress/gzip"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog"

	"berth/collector/frames"
)

// NewFactory makes encodings of the type archive.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("archive"), func() component.Config { return struct{}{} },
		func(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
			return encoding{}, nil
		}, component.StabilityLevelStable)
}

type encoding struct {
	component.StartFunc
	component.ShutdownFunc
}

// MarshalLogs returns an object of the bucket.
func (encoding) MarshalLogs(logs plog.Logs) ([]byte, error) {
	var object bytes.Buffer
	zip := gzip.NewWriter(&object)
	for _, resource := range logs.ResourceLogs().All() {
		encoder, err := frames.NewEncoder(resource.Resource())
		if err != nil {
			return nil, err
		}
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if _, err := zip.Write(encoder.Encode(record, math.MaxInt)); err != nil {
					return nil, fmt.Errorf("compress lines: %w", err)
				}
			}
		}
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("compress lines: %w", err)
	}
	return object.Bytes(), nil
}
