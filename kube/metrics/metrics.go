// Package metrics is metrics-server, as upstream's main runs it.
package metrics

import (
	"k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/logs"
	"sigs.k8s.io/metrics-server/cmd/metrics-server/app"
)

// Run serves until it is told to stop.
func Run() int {
	logs.InitLogs()
	defer logs.FlushLogs()
	if err := app.NewMetricsServerCommand(server.SetupSignalHandler()).Execute(); err != nil {
		return 1 // it has said why
	}
	return 0
}
