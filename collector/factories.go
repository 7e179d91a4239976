package main

import (
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/healthcheckextension"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"

	"berth/collector/archive"
	"berth/collector/containerlog"
	"berth/collector/frames"
	"berth/collector/sink"
	"berth/collector/state"
)

// factories are all the parts that a configuration may name.
func factories() (otelcol.Factories, error) {
	var f otelcol.Factories
	var err error
	f.Telemetry = otelconftelemetry.NewFactory()
	if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](containerlog.NewFactory()); err != nil {
		return f, fmt.Errorf("list the receivers: %w", err)
	}
	if f.Processors, err = otelcol.MakeFactoryMap[processor.Factory](memorylimiterprocessor.NewFactory()); err != nil {
		return f, fmt.Errorf("list the processors: %w", err)
	}
	f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](
		sink.NewBucketFactory(),
		sink.NewOTLPFactory(),
		frames.NewFactory(),
	)
	if err != nil {
		return f, fmt.Errorf("list the exporters: %w", err)
	}
	f.Extensions, err = otelcol.MakeFactoryMap[extension.Factory](
		state.NewFactory(),
		archive.NewFactory(),
		healthcheckextension.NewFactory(),
		sink.NewStatusFactory(),
	)
	if err != nil {
		return f, fmt.Errorf("list the extensions: %w", err)
	}
	return f, nil
}
