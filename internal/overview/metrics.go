package overview

import (
	"context"
	"fmt"
	"strings"

	"berth/internal/platform"
)

// Metrics says how keeping metrics is doing.
type Metrics struct {
	Problem string `json:"problem,omitempty"`
	*platform.MetricsStatus
}

// Metrics asks what keeps metrics; nil where none are to be kept.
func (l *Looker) Metrics(ctx context.Context) *Metrics {
	if !l.Config.Metrics.Kept() {
		return nil
	}
	kept, err := l.Kept()
	var status *platform.MetricsStatus
	if err == nil {
		status, err = kept.Status(ctx)
	}
	if err != nil {
		return &Metrics{Problem: err.Error()}
	}
	return &Metrics{MetricsStatus: status}
}

// OK says that metrics are kept, of all that has any.
func (m *Metrics) OK() bool {
	return m == nil || m.Problem == "" && len(m.Silent) == 0
}

// Line says it in one line.
func (m *Metrics) Line() string {
	switch {
	case m.Problem != "":
		return "metrics: " + m.Problem
	case m.Sources == 0:
		return fmt.Sprintf("metrics: kept for %d days, nothing measured yet", m.Days)
	case len(m.Silent) > 0:
		return fmt.Sprintf("metrics: kept for %d days, and %d of %d sources do not answer: %s", m.Days, len(m.Silent), m.Sources, strings.Join(m.Silent, ", "))
	}
	return fmt.Sprintf("metrics: kept for %d days, all %d sources answer", m.Days, m.Sources)
}
