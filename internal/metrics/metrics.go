// Package metrics queries the metrics that a cluster keeps, in PromQL. They are in a
// VictoriaMetrics that charts/metrics installs.
package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"berth/internal/fault"
	"berth/internal/kube"
)

// Store is where metrics are kept.
type Store struct {
	// Get asks it for a path, as "/api/v1/query?query=up". What it refuses is a
	// [*kube.StatusError].
	Get func(ctx context.Context, path string) ([]byte, error)
}

// Series are the values of one metric with its labels over time.
type Series struct {
	Labels map[string]string `json:"labels"`
	Points []Point           `json:"points"`
}

// Point is a value at a time.
type Point struct {
	Time  time.Time `json:"time"`
	Value Value     `json:"value"`
}

// Value is one that may be missing, NaN, which JSON has as null. So has it infinity.
type Value float64

// None is no value.
var None = Value(math.NaN())

// Missing reports whether there is none.
func (v Value) Missing() bool { return math.IsNaN(float64(v)) }

// MarshalJSON writes a number, or null.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Missing() || math.IsInf(float64(v), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(v))
}

// UnmarshalJSON reads a number, or null.
func (v *Value) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*v = None
		return nil
	}
	return json.Unmarshal(data, (*float64)(v))
}

// Query answers a question in PromQL for one moment. One that is no PromQL is the
// caller's mistake, see [fault.Usage].
func (s Store) Query(ctx context.Context, promql string, at time.Time) ([]Series, error) {
	return s.ask(ctx, "query", url.Values{"query": {promql}, "time": {seconds(at)}})
}

// Range answers a question in PromQL for each step from one moment to another.
func (s Store) Range(ctx context.Context, promql string, from, to time.Time, step time.Duration) ([]Series, error) {
	return s.ask(ctx, "query_range", url.Values{
		"query": {promql}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
		// Else VictoriaMetrics moves the moments to those that it has in its cache.
		"nocache": {"1"},
	})
}

func seconds(at time.Time) string {
	return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)
}

// answer is Prometheus' own: https://prometheus.io/docs/prometheus/latest/querying/api/
type answer struct {
	Error string
	Data  struct {
		ResultType string
		Result     json.RawMessage
	}
}

func (s Store) ask(ctx context.Context, what string, parameters url.Values) ([]Series, error) {
	content, err := s.Get(ctx, "/api/v1/"+what+"?"+parameters.Encode())
	var said answer
	var status *kube.StatusError
	if errors.As(err, &status) && json.Unmarshal(status.Body, &said) == nil && said.Error != "" {
		if status.Code == http.StatusBadRequest || status.Code == http.StatusUnprocessableEntity {
			return nil, fault.Usage("ask for metrics: %s", said.Error)
		}
		err = errors.New(said.Error)
	}
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	if err := json.Unmarshal(content, &said); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	series, err := said.series()
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return series, nil
}

func (a answer) series() ([]Series, error) {
	if a.Data.ResultType == "scalar" {
		var one pair
		if err := json.Unmarshal(a.Data.Result, &one); err != nil {
			return nil, err
		}
		return []Series{{Points: []Point{Point(one)}}}, nil
	}
	var found []struct {
		Metric map[string]string
		Value  *pair
		Values []pair
	}
	if err := json.Unmarshal(a.Data.Result, &found); err != nil {
		return nil, err
	}
	all := make([]Series, len(found))
	for i, f := range found {
		all[i] = Series{Labels: f.Metric, Points: []Point{}}
		if f.Value != nil {
			f.Values = []pair{*f.Value}
		}
		for _, p := range f.Values {
			all[i].Points = append(all[i].Points, Point(p))
		}
	}
	return all, nil
}

// pair is a point as Prometheus writes it: [1767225600.5, "0.25"].
type pair Point

func (p *pair) UnmarshalJSON(data []byte) error {
	var at float64
	var text string
	if err := json.Unmarshal(data, &[]any{&at, &text}); err != nil {
		return err
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("value %q: %w", text, err)
	}
	p.Time, p.Value = time.UnixMilli(int64(math.Round(at*1000))), Value(value)
	return nil
}
