package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth/internal/ingress"
)

// statuses is what the Ingresses' statuses are to say. Routing does not wait for
// it: thousands are written at the API server's pace.
type statuses struct {
	mu        sync.Mutex
	ingresses []*networkingv1.Ingress
	leftOut   map[types.UID]bool
	// certificates are those that are served.
	certificates map[string]ingress.Certificate
	changed      chan struct{}
}

func (s *statuses) want(ingresses []*networkingv1.Ingress, problems []ingress.Problem, certificates map[string]ingress.Certificate) {
	leftOut := map[types.UID]bool{}
	for _, p := range problems {
		if p.LeftOut() {
			leftOut[p.Ingress.UID] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ingresses, s.leftOut, s.certificates = ingresses, leftOut, certificates
	select {
	case s.news() <- struct{}{}:
	default:
	}
}

// news is to be called with the lock.
func (s *statuses) news() chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{}, 1)
	}
	return s.changed
}

// statusRetry is how long a failed status waits.
const statusRetry = 5 * time.Second

// PublishStatuses writes the address into the status of every Ingress that is
// served, whenever that changes, until the context ends.
func (r *Reconciler) PublishStatuses(ctx context.Context) error {
	r.statuses.mu.Lock()
	changed := r.statuses.news()
	r.statuses.mu.Unlock()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry:
		}
		retry = nil
		if err := r.publish(ctx); err != nil {
			r.Log.Warn("statuses of Ingresses could not be written", "error", err)
			retry = time.After(statusRetry)
		}
	}
}

// publish writes what is wanted once. Newer news interrupt it.
func (r *Reconciler) publish(ctx context.Context) error {
	r.statuses.mu.Lock()
	ingresses, leftOut, certificates := r.statuses.ingresses, r.statuses.leftOut, r.statuses.certificates
	changed := r.statuses.news()
	select {
	case <-changed: // it is being done
	default:
	}
	r.statuses.mu.Unlock()
	var failures []error
	if err := r.publishCertificates(ctx, certificates); err != nil {
		failures = append(failures, err)
	}
	for _, ing := range ingresses {
		want := r.Addresses
		if leftOut[ing.UID] {
			want = nil
		}
		if sameAddresses(ing.Status.LoadBalancer.Ingress, want) {
			continue
		}
		// The list belongs to the cache; only a copy may be changed.
		status := ing.DeepCopy()
		status.Status.LoadBalancer.Ingress = want
		if err := r.Client.Status().Patch(ctx, status, client.MergeFrom(ing)); client.IgnoreNotFound(err) != nil {
			failures = append(failures, fmt.Errorf("publish the address of Ingress %s/%s: %w", ing.Namespace, ing.Name, err))
		}
		if len(changed) > 0 {
			return nil
		}
	}
	return errors.Join(failures...)
}

func sameAddresses(a, b []networkingv1.IngressLoadBalancerIngress) bool {
	set := func(list []networkingv1.IngressLoadBalancerIngress) map[string]bool {
		m := map[string]bool{}
		for _, entry := range list {
			m[entry.IP+" "+entry.Hostname] = true
		}
		return m
	}
	return maps.Equal(set(a), set(b))
}
