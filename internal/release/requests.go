package release

import (
	"context"
	"fmt"
	"math"
	"time"

	core "k8s.io/api/core/v1"

	"berth/internal/fault"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/traffic"
)

// Requests are those that the pods of one revision have answered in some seconds.
type Requests struct {
	Revision int     `json:"revision"`
	Pods     int     `json:"pods"`
	Seconds  float64 `json:"seconds"`
	Requests int     `json:"requests"`
	// Classes are the numbers of answers by the class of their status: 2xx.
	Classes map[string]int `json:"classes"`
	// P50 and P99 are within how many seconds half, and 99 of 100 answers began:
	// upper bounds. nil where there were none, or it took longer than [Requests].Most.
	P50 *float64 `json:"p50"`
	P99 *float64 `json:"p99"`
	// Most is the longest time in seconds that is told from longer ones.
	Most float64 `json:"most"`
}

// Requests looks twice at what the ingress has counted of an environment, and
// returns what was answered between: by the revision that serves, and in a rolling
// update by the one before too.
func (c *Client) Requests(ctx context.Context, environment string, during time.Duration, r progress.Reporter) ([]Requests, error) {
	if _, err := c.environment(environment); err != nil {
		return nil, err
	}
	if c.cluster.Ingress == nil {
		return nil, fault.WithHint(ErrForeignIngress, "ask the controller itself: most have metrics for Prometheus")
	}
	h, err := c.release(environment)
	if err != nil {
		return nil, err
	}
	past, err := h.History()
	if err != nil {
		return nil, err
	}
	if len(past) == 0 {
		return nil, notDeployed(environment)
	}
	sides := []*side{{revision: newest(past).Version}, {revision: version(serving(past))}}
	began := time.Now()
	err = progress.Run(r, fmt.Sprintf("Count the requests to %s for %s", environment, during), func(progress.Step) error {
		if err := c.count(ctx, environment, sides); err != nil {
			return err
		}
		for _, s := range sides {
			s.answered.sum = traffic.Endpoint{}
		}
		if err := poll.Sleep(ctx, during); err != nil {
			return err
		}
		return c.count(ctx, environment, sides)
	})
	if err != nil {
		return nil, err
	}
	var all []Requests
	for i, s := range sides {
		if i == 0 || s.pods > 0 {
			all = append(all, s.requests(time.Since(began)))
		}
	}
	return all, nil
}

// side is a revision with its pods.
type side struct {
	revision, pods int
	answered       tally
}

// count looks at the pods of the present template and those of earlier ones, and at
// what both have answered.
func (c *Client) count(ctx context.Context, environment string, sides []*side) error {
	present, earlier, err := c.webPods(ctx, environment)
	if err != nil {
		return err
	}
	now, err := c.traffic(ctx, environment)
	if err != nil {
		return err
	}
	for i, pods := range [][]*core.Pod{present, earlier} {
		sides[i].pods = len(pods)
		for _, pod := range pods {
			sides[i].answered.follow(pod.Status.PodIP)
		}
		sides[i].answered.add(now)
	}
	return nil
}

func (s *side) requests(during time.Duration) Requests {
	sum := s.answered.sum
	r := Requests{
		Revision: s.revision, Pods: s.pods, Seconds: math.Round(during.Seconds()*10) / 10, Requests: sum.Requests(),
		Classes: map[string]int{}, P50: within(sum, 0.5), P99: within(sum, 0.99),
	}
	for class := 1; class < len(sum.Classes); class++ {
		r.Classes[fmt.Sprintf("%dxx", class)] = sum.Classes[class]
	}
	if n := len(sum.Bounds); n > 0 {
		r.Most = sum.Bounds[n-1]
	}
	return r
}

func within(e traffic.Endpoint, part float64) *float64 {
	if seconds := e.Within(part); seconds > 0 && !math.IsInf(seconds, 1) {
		return &seconds
	}
	return nil
}
