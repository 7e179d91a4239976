// Package controller watches a cluster for Ingress objects of its class and
// keeps an NGINX in step with them.
//
// Every change asks for the same thing, one configuration of everything, so the
// work queue holds a single key and many changes in a row become one reload.
package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth/internal/ingress"
	"berth/internal/ingress/nginx"
)

// Name is what spec.controller of an IngressClass says for its Ingresses to be
// served here.
const Name = "berth.local/ingress"

// reloadInterval is the least time between two reloads. The first change is
// served at once; what follows within the interval is served together.
const reloadInterval = 250 * time.Millisecond

// Reconciler makes NGINX serve what the cluster says.
type Reconciler struct {
	Client client.Client
	Events events.EventRecorder
	NGINX  *nginx.Server
	Log    *slog.Logger

	// Addresses are published as the load balancer of every served Ingress.
	Addresses []networkingv1.IngressLoadBalancerIngress

	ready      atomic.Bool
	generation int
	serving    []byte               // the configuration in use
	accepted   map[types.UID]string // the resource versions of the Ingresses in it
	reloaded   time.Time

	refused         []byte // the last whole configuration that NGINX refused
	refusedProblems []ingress.Problem

	reported map[report]bool
}

// report is a problem that its Ingress's author has been told of.
type report struct {
	uid             types.UID
	reason, message string
}

// Ready reports whether a configuration is being served.
func (r *Reconciler) Ready() bool { return r.ready.Load() }

// Reconcile brings NGINX in step with the cluster. The request is of no
// consequence.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if wait := reloadInterval - time.Since(r.reloaded); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	objects, err := r.read(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	problems, err := r.serve(ctx, objects)
	if err != nil {
		reloads.WithLabelValues("failed").Inc()
		return reconcile.Result{}, fmt.Errorf("serve the cluster's Ingresses: %w", err)
	}
	r.ready.Store(true)
	r.report(problems)
	return reconcile.Result{}, r.publish(ctx, objects.Ingresses, problems)
}

// read lists everything that a configuration is made from.
func (r *Reconciler) read(ctx context.Context) (ingress.Objects, error) {
	var classes networkingv1.IngressClassList
	var ingresses networkingv1.IngressList
	var services corev1.ServiceList
	var slices discoveryv1.EndpointSliceList
	var secrets corev1.SecretList
	for _, list := range []client.ObjectList{&classes, &ingresses, &services, &slices, &secrets} {
		if err := r.Client.List(ctx, list); err != nil {
			return ingress.Objects{}, fmt.Errorf("list %T: %w", list, err)
		}
	}
	ours := map[string]bool{}
	for _, class := range classes.Items {
		if class.Spec.Controller == Name {
			ours[class.Name] = true
		}
	}
	objects := ingress.Objects{Services: pointers(services.Items), EndpointSlices: pointers(slices.Items), Secrets: pointers(secrets.Items)}
	for _, ing := range pointers(ingresses.Items) {
		if ours[className(ing)] && ing.DeletionTimestamp == nil {
			objects.Ingresses = append(objects.Ingresses, ing)
		}
	}
	return objects, nil
}

// className is the class that an Ingress names: in its spec, or the way it was
// done before Kubernetes 1.18.
func className(ing *networkingv1.Ingress) string {
	if ing.Spec.IngressClassName != nil {
		return *ing.Spec.IngressClassName
	}
	return ing.Annotations["kubernetes.io/ingress.class"]
}

func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}

// serve makes NGINX serve the objects, without the Ingresses that it refuses.
func (r *Reconciler) serve(ctx context.Context, objects ingress.Objects) ([]ingress.Problem, error) {
	model, problems := ingress.Build(objects, r.NGINX.Settings)
	model.Generation = r.generation
	rendered := model.Render()
	switch {
	case bytes.Equal(rendered, r.serving):
		r.accept(objects.Ingresses)
		return problems, nil
	case bytes.Equal(rendered, r.refused):
		return r.refusedProblems, nil
	}
	err := r.apply(ctx, model)
	if err == nil {
		r.accept(objects.Ingresses)
		return problems, nil
	}
	var refusal *nginx.RefusedError
	if !errors.As(err, &refusal) {
		return nil, err
	}
	reloads.WithLabelValues("refused").Inc()
	r.Log.Error("nginx refuses the configuration; looking for the Ingress that is to blame", "error", refusal.Output)
	good, culprits, err := r.isolate(ctx, objects)
	if err != nil {
		return nil, err
	}
	objects.Ingresses = good
	model, problems = ingress.Build(objects, r.NGINX.Settings)
	if err := r.apply(ctx, model); err != nil {
		return nil, err
	}
	r.accept(good)
	problems = append(problems, culprits...)
	// The same objects would be refused again at the next change of anything.
	// A generation is part of what was rendered, so it is rendered once more.
	whole, _ := ingress.Build(ingress.Objects{
		Ingresses: append(append([]*networkingv1.Ingress{}, good...), ingressesOf(culprits)...),
		Services:  objects.Services, EndpointSlices: objects.EndpointSlices, Secrets: objects.Secrets,
	}, r.NGINX.Settings)
	whole.Generation = r.generation
	r.refused, r.refusedProblems = whole.Render(), problems
	return problems, nil
}

func ingressesOf(problems []ingress.Problem) (all []*networkingv1.Ingress) {
	for _, p := range problems {
		all = append(all, p.Ingress)
	}
	return all
}

// apply serves a model, unless it is what is being served.
func (r *Reconciler) apply(ctx context.Context, model *ingress.Model) error {
	model.Generation = r.generation
	if bytes.Equal(model.Render(), r.serving) {
		return nil
	}
	model.Generation++
	started := time.Now()
	if err := r.NGINX.Apply(ctx, model); err != nil {
		// Workers may answer with this generation already, so its number is spent.
		var refusal *nginx.RefusedError
		if !errors.As(err, &refusal) {
			r.generation = model.Generation
			r.serving = nil
		}
		return err
	}
	r.generation, r.serving, r.reloaded = model.Generation, model.Render(), time.Now()
	r.refused, r.refusedProblems = nil, nil
	reloads.WithLabelValues("ok").Inc()
	r.Log.Info("nginx serves a new configuration", "generation", r.generation,
		"hosts", len(model.Hosts)-1, "upstreams", len(model.Upstreams), "duration", time.Since(started).Seconds())
	return nil
}

func (r *Reconciler) accept(ingresses []*networkingv1.Ingress) {
	r.accepted = map[types.UID]string{}
	for _, ing := range ingresses {
		r.accepted[ing.UID] = ing.ResourceVersion
	}
}

// isolate finds the Ingresses that NGINX refuses. Those it serves already are
// beyond suspicion at first; the others join them one by one.
func (r *Reconciler) isolate(ctx context.Context, objects ingress.Objects) (good []*networkingv1.Ingress, culprits []ingress.Problem, err error) {
	test := func(ingresses []*networkingv1.Ingress) (string, error) {
		objects.Ingresses = ingresses
		model, _ := ingress.Build(objects, r.NGINX.Settings)
		model.Generation = r.generation + 1
		err := r.NGINX.Test(ctx, model)
		var refusal *nginx.RefusedError
		if errors.As(err, &refusal) {
			return refusal.Output, nil
		}
		return "", err
	}
	var suspects []*networkingv1.Ingress
	for _, ing := range objects.Ingresses {
		if version, ok := r.accepted[ing.UID]; ok && version == ing.ResourceVersion {
			good = append(good, ing)
		} else {
			suspects = append(suspects, ing)
		}
	}
	output, err := test(good)
	if err != nil {
		return nil, nil, err
	}
	if output != "" {
		// An Ingress may turn bad through its Secret, without a change of its own.
		good, suspects = nil, append(suspects, good...)
		if output, err = test(nil); err != nil || output != "" {
			return nil, nil, errors.Join(err, fmt.Errorf("nginx refuses the configuration without any Ingress: %s", output))
		}
	}
	for _, suspect := range suspects {
		output, err := test(append(good[:len(good):len(good)], suspect))
		if err != nil {
			return nil, nil, err
		}
		if output != "" {
			culprits = append(culprits, ingress.Problem{Ingress: suspect, Reason: ingress.ReasonRefused, Message: output})
			continue
		}
		good = append(good, suspect)
	}
	return good, culprits, nil
}

// maxNote is the most that an Event's note may hold, in bytes.
const maxNote = 1024

// report tells of each problem once, for as long as it lasts.
func (r *Reconciler) report(problems []ingress.Problem) {
	known := r.reported
	r.reported = map[report]bool{}
	for _, p := range problems {
		entry := report{p.Ingress.UID, p.Reason, p.Message}
		r.reported[entry] = true
		if known[entry] {
			continue
		}
		r.Log.Warn("problem with an Ingress", "namespace", p.Ingress.Namespace, "ingress", p.Ingress.Name,
			"reason", p.Reason, "problem", p.Message, "left_out", p.LeftOut())
		r.Events.Eventf(p.Ingress, nil, corev1.EventTypeWarning, p.Reason, "Configure", "%s", p.Message[:min(len(p.Message), maxNote)])
	}
	problemCount.Set(float64(len(problems)))
}

// publish writes the address into the status of every Ingress that is served.
func (r *Reconciler) publish(ctx context.Context, ingresses []*networkingv1.Ingress, problems []ingress.Problem) error {
	leftOut := map[types.UID]bool{}
	for _, p := range problems {
		if p.LeftOut() {
			leftOut[p.Ingress.UID] = true
		}
	}
	var failures []error
	for _, ing := range ingresses {
		want := r.Addresses
		if leftOut[ing.UID] {
			want = nil
		}
		if sameAddresses(ing.Status.LoadBalancer.Ingress, want) {
			continue
		}
		// The list belongs to the cache; only a copy may be changed.
		changed := ing.DeepCopy()
		changed.Status.LoadBalancer.Ingress = want
		if err := r.Client.Status().Patch(ctx, changed, client.MergeFrom(ing)); client.IgnoreNotFound(err) != nil {
			failures = append(failures, fmt.Errorf("publish the address of Ingress %s/%s: %w", ing.Namespace, ing.Name, err))
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
