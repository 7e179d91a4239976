package release

import (
	chart "helm.sh/helm/v4/pkg/chart/v2"

	"berth/charts"
)

// loadChart loads the application's chart afresh each time: rendering changes a
// chart's dependencies in place.
func loadChart() (*chart.Chart, error) { return charts.Load("realworld") }
