// Command collector is berth's log agent: a distribution of the OpenTelemetry
// Collector with the parts that docs/logs.md names and no others. One runs on
// every node, as the DaemonSet of charts/collector, which also writes its
// configuration.
package main

import (
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/otelcol"

	"berth/collector/state"
)

// version is set by the linker.
var version = "development"

func main() {
	if len(os.Args) == 3 && os.Args[1] == state.Command {
		state.Main(os.Args[2])
	}
	settings := otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "collector", Description: "berth-collector", Version: version},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory()},
				DefaultScheme:     "env",
			},
		},
	}
	// The command has shown the error itself.
	if err := otelcol.NewCommand(settings).Execute(); err != nil {
		os.Exit(1)
	}
}
