package release

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	core "k8s.io/api/core/v1"

	"berth/internal/judge"
	"berth/internal/kube"
	"berth/internal/rollout"
	"berth/internal/traffic"
)

// ErrForeignIngress means that nobody counts the requests of the cluster.
var ErrForeignIngress = errors.New("the cluster's ingress controller is not berth's, and only berth's counts requests")

// webPods returns the pods that answer requests: those of the present template, and
// those of earlier ones.
func (c *Client) webPods(ctx context.Context, environment string) (present, earlier []*core.Pod, err error) {
	s, err := rollout.Take(ctx, kube.API{Interface: c.kube}, environment)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the pods: %w", err)
	}
	present, earlier = s.PodsOf(rollout.Workload{Kind: "Deployment", Name: c.config.Name})
	return present, earlier, nil
}

// tally sums up what pods have answered.
type tally struct {
	last map[string]traffic.Endpoint // by the pod's address
	sum  traffic.Endpoint
}

// follow counts a pod too, from its first answer on.
func (t *tally) follow(address string) {
	if t.last == nil {
		t.last = map[string]traffic.Endpoint{}
	}
	if _, known := t.last[address]; !known {
		t.last[address] = traffic.Endpoint{}
	}
}

// add takes the counters as they are now, by address and port.
func (t *tally) add(now map[string]traffic.Endpoint) {
	counted := map[string]traffic.Endpoint{}
	for endpoint, e := range now {
		address, err := netip.ParseAddrPort(endpoint)
		if err != nil {
			continue // not one of a pod
		}
		pod := address.Addr().String()
		if _, followed := t.last[pod]; followed {
			counted[pod] = counted[pod].Add(e)
		}
	}
	for pod, e := range counted {
		t.sum = t.sum.Add(e.Since(t.last[pod]))
		t.last[pod] = e
	}
}

func (t *tally) counts() judge.Counts {
	return judge.Counts{Requests: t.sum.Requests(), Errors: t.sum.Classes[5], Bounds: t.sum.Bounds, Buckets: t.sum.Buckets}
}

func (t *tally) String() string {
	requests, errors := "requests", "errors"
	c := t.counts()
	if c.Requests == 1 {
		requests = "request"
	}
	if c.Errors == 1 {
		errors = "error"
	}
	return fmt.Sprintf("%d %s, %d %s", c.Requests, requests, c.Errors, errors)
}
