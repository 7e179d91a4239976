package metrics

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/internal/traffic"
)

// points is how many values a picture has.
const points = 60

// Environment is how an environment did from one moment to another.
type Environment struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// StepSeconds is the time that each value is of.
	StepSeconds float64 `json:"stepSeconds"`
	// Rate are requests a second; Errors what part of them, 0 to 1, was answered 5xx;
	// P99 the seconds within which 99 of 100 answers began, interpolated within the
	// buckets of the ingress.
	Rate   []Value `json:"rate"`
	Errors []Value `json:"errors"`
	P99    []Value `json:"p99"`
	// CPU is what its pods use, in cores, and Memory their working set in bytes.
	CPU    []Value `json:"cpu"`
	Memory []Value `json:"memory"`
	// Pods are what each pod has answered, by its name.
	Pods map[string]traffic.Endpoint `json:"-"`
}

// Environment returns how an environment of an application did in the time before a
// moment. Other applications may be in its namespace: the application's Service has its
// name, and the names of its pods begin with it.
func (s Store) Environment(ctx context.Context, application, environment string, to time.Time, during time.Duration) (*Environment, error) {
	step := max(during/points, 15*time.Second).Round(time.Second)
	r := &Environment{From: to.Add(-during), To: to, StepSeconds: step.Seconds(), Pods: map[string]traffic.Endpoint{}}
	of := fmt.Sprintf("{namespace=%q, service=%q}", environment, application)
	failed := fmt.Sprintf("{namespace=%q, service=%q, class=\"5xx\"}", environment, application)
	uses := fmt.Sprintf("{namespace=%q, pod=~%q}", environment, regexp.QuoteMeta(application)+"-.+")
	// A rate takes two scrapes, which are 15 seconds apart.
	within := fmt.Sprintf("[%ds]", int(max(step, time.Minute).Seconds()))
	whole := fmt.Sprintf("[%ds]", int(during.Seconds()))
	var failures []Value
	pictures := []struct {
		what, promql string
		into         *[]Value
	}{
		{"rate", "sum(rate(berth_ingress_requests_total" + of + within + "))", &r.Rate},
		{"failures", "sum(rate(berth_ingress_requests_total" + failed + within + "))", &failures},
		{"p99", "histogram_quantile(0.99, sum by (le) (rate(berth_ingress_request_seconds_bucket" + of + within + ")))", &r.P99},
		{"cpu", "sum(rate(container_cpu_usage_seconds_total" + uses + within + "))", &r.CPU},
		{"memory", "sum(container_memory_working_set_bytes" + uses + ")", &r.Memory},
	}
	// One question for all of them: each goes by a connection of its own.
	var questions []string
	for _, p := range pictures {
		questions = append(questions, fmt.Sprintf(`label_replace(%s, "what", %q, "", "")`, p.promql, p.what))
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		found, err := s.Range(ctx, strings.Join(questions, " or "), r.From.Add(step), to, step)
		for _, p := range pictures {
			*p.into = r.values(found, p.what)
		}
		return err
	})
	var table []Series
	group.Go(func() (err error) {
		table, err = s.Query(ctx, "sum by (pod, class) (increase(berth_ingress_requests_total"+of+whole+"))"+
			" or sum by (pod, le) (increase(berth_ingress_request_seconds_bucket"+of+whole+"))", to)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	r.Errors = make([]Value, len(r.Rate))
	for i, rate := range r.Rate {
		r.Errors[i] = None
		if rate > 0 {
			r.Errors[i] = 0
			if !failures[i].Missing() {
				r.Errors[i] = min(1, failures[i]/rate)
			}
		}
	}
	r.addClasses(table)
	r.addBuckets(table)
	return r, nil
}

// values puts the points of what was asked for where they belong.
func (r *Environment) values(found []Series, what string) []Value {
	all := make([]Value, int(math.Round(r.To.Sub(r.From).Seconds()/r.StepSeconds)))
	for i := range all {
		all[i] = None
	}
	for _, series := range found {
		if series.Labels["what"] != what {
			continue
		}
		for _, p := range series.Points {
			i := int(math.Round(p.Time.Sub(r.From).Seconds()/r.StepSeconds)) - 1
			if i >= 0 && i < len(all) {
				all[i] = p.Value
			}
		}
	}
	return all
}

func (r *Environment) addClasses(found []Series) {
	for _, series := range found {
		class := series.Labels["class"]
		if len(class) != 3 || class[0] < '1' || class[0] > '5' {
			continue
		}
		e := r.Pods[series.Labels["pod"]]
		e.Classes[class[0]-'0'] += count(series)
		r.Pods[series.Labels["pod"]] = e
	}
}

// addBuckets makes of cumulative buckets, which end with infinity, what each has.
func (r *Environment) addBuckets(found []Series) {
	type bucket struct {
		bound float64
		count int
	}
	of := map[string][]bucket{}
	for _, series := range found {
		if bound, err := strconv.ParseFloat(series.Labels["le"], 64); err == nil {
			of[series.Labels["pod"]] = append(of[series.Labels["pod"]], bucket{bound, count(series)})
		}
	}
	for pod, all := range of {
		slices.SortFunc(all, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
		e, below := r.Pods[pod], 0
		for _, b := range all {
			if !math.IsInf(b.bound, 1) {
				e.Bounds = append(e.Bounds, b.bound)
			}
			e.Buckets = append(e.Buckets, max(0, b.count-below))
			below = max(below, b.count)
		}
		r.Pods[pod] = e
	}
}

// count is the one value of a series, as a number of requests.
func count(s Series) int {
	if len(s.Points) == 0 || s.Points[0].Value.Missing() {
		return 0
	}
	return int(math.Round(float64(s.Points[0].Value)))
}
