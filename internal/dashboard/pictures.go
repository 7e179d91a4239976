package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"berth/internal/metrics"
)

// pictured is the time that pictures are of.
const pictured = time.Hour

// A picture is what an environment did over time, as a line.
type picture struct {
	// ID tells it from the others of a page.
	ID, Title string
	// Last is the last value, and Text says all of it in words, for who sees no picture.
	Last, Text string
	// Lines are the points of each stretch that has values.
	Lines []string
	// Bad says that it is of what should be none.
	Bad bool
}

// The size of a picture in its own coordinates, whatever it has on the screen.
const pictureWidth, pictureHeight = 300.0, 50.0

func (s *server) partMetrics(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	part(s, w, r, "part-metrics", func(ctx context.Context) ([]picture, error) {
		e, err := s.source.Metrics(ctx, environment, pictured)
		if err != nil {
			return nil, err
		}
		return picturesOf(e), nil
	})
}

// picturesOf are those of what is measured.
func picturesOf(e *metrics.Environment) (all []picture) {
	span := fmt.Sprintf("From %s to %s", e.From.Local().Format("15:04"), e.To.Local().Format("15:04"))
	add := func(id, title string, bad bool, values []metrics.Value, write func(float64) string) {
		least, most, last := metrics.Span(values)
		if last.Missing() {
			return
		}
		all = append(all, picture{
			ID: id, Title: title, Bad: bad && most > 0, Last: write(float64(last)), Lines: lines(values, float64(most)),
			Text: fmt.Sprintf("%s: %s at least, %s at most, %s at last.", span, write(float64(least)), write(float64(most)), write(float64(last))),
		})
	}
	add("rate", "Requests a second", false, e.Rate, func(v float64) string { return fmt.Sprintf("%.1f", v) })
	add("errors", "Answered 5xx", true, e.Errors, func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) })
	add("p99", "99 of 100 within", false, e.P99, func(v float64) string {
		return time.Duration(v * float64(time.Second)).Round(time.Millisecond).String()
	})
	add("cpu", "CPU", false, e.CPU, func(v float64) string { return fmt.Sprintf("%.0fm", 1000*v) })
	add("memory", "Memory", false, e.Memory, func(v float64) string { return fmt.Sprintf("%.0f MiB", v/(1<<20)) })
	return all
}

// lines draws values from 0 to the greatest, as the points of polylines.
func lines(values []metrics.Value, most float64) (all []string) {
	var line []string
	end := func() {
		if len(line) == 1 { // which nobody would see
			line = append(line, line[0])
		}
		if len(line) > 0 {
			all = append(all, strings.Join(line, " "))
		}
		line = nil
	}
	for i, v := range values {
		if v.Missing() {
			end()
			continue
		}
		height := 0.0
		if most > 0 {
			height = float64(v) / most
		}
		// A stroke at an edge would be cut in half.
		y := 1 + (pictureHeight-2)*(1-height)
		line = append(line, fmt.Sprintf("%.1f,%.1f", pictureWidth*float64(i)/float64(max(1, len(values)-1)), y))
	}
	end()
	return all
}
