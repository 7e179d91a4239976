package overview

import (
	"context"
	"fmt"

	"berth/internal/alert"
	"berth/internal/config"
)

// Alerts says how telling people is doing.
type Alerts struct {
	Problem string        `json:"problem,omitempty"`
	Watch   *alert.Report `json:"watch,omitempty"`
}

// Alerts asks the watch; nil where nothing is to be told.
func (l *Looker) Alerts(ctx context.Context) *Alerts {
	if l.Config.DotEnv[config.AlertsURL] == "" {
		return nil
	}
	watch, err := l.Watch()
	var report *alert.Report
	if err == nil {
		report, err = watch.Status(ctx)
	}
	if err != nil {
		return &Alerts{Problem: err.Error()}
	}
	return &Alerts{Watch: report}
}

// OK says that the watch lives and that its messages arrive. What is broken, the
// rest of a status says.
func (r *Alerts) OK() bool {
	if r == nil {
		return true
	}
	if r.Problem != "" {
		return false
	}
	for _, d := range r.Watch.Destinations {
		if d.Problem != "" {
			return false
		}
	}
	return true
}

// Line says it in one line.
func (r *Alerts) Line() string {
	if r.Problem != "" {
		return "alerts: " + r.Problem
	}
	text := "alerts: nothing is broken"
	if n := len(r.Watch.Problems); n > 0 {
		text = fmt.Sprintf("alerts: %d told and not healed, the oldest: %s", n, r.Watch.Problems[0].Title)
	}
	for _, d := range r.Watch.Destinations {
		if d.Problem != "" {
			text += fmt.Sprintf("; %s does not take messages (%d wait): %s", d.Name, d.Waiting, d.Problem)
		}
	}
	return text
}
