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

// Name is the value of spec.controller in IngressClasses that this controller
// serves.
const Name = "berth.local/ingress"

// reloadInterval is the least time between two reloads. The first change is
// served at once; what follows within the interval is served together.
const reloadInterval = 250 * time.Millisecond

// calendarInterval is how often certificates are compared with their dates.
const calendarInterval = time.Hour

// memoryInterval is how long a reload waits for workers to leave before it looks
// for memory again.
const memoryInterval = time.Second

// Reconciler makes NGINX serve what the cluster says.
type Reconciler struct {
	Client client.Client
	Events events.EventRecorder
	NGINX  *nginx.Server
	Log    *slog.Logger

	// Addresses are published as the load balancer of every served Ingress.
	Addresses []networkingv1.IngressLoadBalancerIngress
	// Certificates is the ConfigMap to publish in when certificates end; without a
	// name, none.
	Certificates types.NamespacedName

	// certificates are those that are served, and published what was last written
	// of them.
	certificates map[string]ingress.Certificate
	published    map[string]string

	ready      atomic.Bool
	generation int
	serving    []byte               // the configuration in use
	accepted   map[types.UID]string // the resource versions of the Ingresses in it
	endpoints  map[string][]string  // that it leads to
	reloaded   time.Time
	waiting    bool // for memory

	refused         []byte // the last whole configuration that NGINX refused
	refusedProblems []ingress.Problem

	reported map[report]bool
	statuses statuses
	pods     podNames
}

// report is a problem that its Ingress's author has been told of.
type report struct {
	uid             types.UID
	reason, message string
}

// Ready reports whether a configuration is being served.
func (r *Reconciler) Ready() bool { return r.ready.Load() }

// Reconcile brings NGINX in step with the cluster. The request is of no
// consequence. Endpoints reach NGINX at once; a change of the configuration
// waits until the last one is reloadInterval old, and until there is memory for
// it. Status is written by PublishStatuses, which nothing here waits for.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	objects, err := r.read(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	r.pods.learn(objects.EndpointSlices, objects.Now)
	problems, wait, err := r.serve(ctx, objects)
	if err != nil {
		reloads.WithLabelValues("failed").Inc()
		return reconcile.Result{}, fmt.Errorf("serve the cluster's Ingresses: %w", err)
	}
	if wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	r.ready.Store(true)
	r.report(problems)
	r.statuses.want(objects.Ingresses, problems, r.certificates)
	return reconcile.Result{RequeueAfter: calendarInterval}, nil
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
	objects := ingress.Objects{
		Services: pointers(services.Items), EndpointSlices: pointers(slices.Items), Secrets: pointers(secrets.Items), Now: time.Now(),
	}
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

// serve makes NGINX serve the objects, without the Ingresses that it refuses. If
// it cannot do so yet, it returns how long to wait.
func (r *Reconciler) serve(ctx context.Context, objects ingress.Objects) (problems []ingress.Problem, wait time.Duration, err error) {
	model, problems := ingress.Build(objects, r.NGINX.Settings)
	model.Generation = r.generation
	r.certificates = model.Certificates
	rendered := model.Render()
	if r.serving != nil {
		if err := r.NGINX.ServeEndpoints(ctx, r.stillServed(model)); err != nil {
			return nil, 0, err
		}
	}
	switch {
	case bytes.Equal(rendered, r.serving):
		r.accept(objects.Ingresses)
		r.endpoints = model.Endpoints
		return problems, 0, nil
	case bytes.Equal(rendered, r.refused):
		return r.refusedProblems, 0, nil
	}
	if wait := r.wait(); wait > 0 {
		return nil, wait, nil
	}
	err = r.apply(ctx, model)
	if err == nil {
		r.accept(objects.Ingresses)
		return problems, 0, nil
	}
	var refusal *nginx.RefusedError
	if !errors.As(err, &refusal) {
		return nil, 0, err
	}
	problems, err = r.serveWithoutCulprits(ctx, objects, refusal)
	return problems, 0, err
}

// stillServed returns the endpoints of a new model and, where the configuration
// in use leads to others, those too until it is replaced.
func (r *Reconciler) stillServed(model *ingress.Model) map[string][]string {
	all := maps.Clone(r.endpoints)
	if all == nil {
		all = map[string][]string{}
	}
	maps.Copy(all, model.Endpoints)
	return all
}

// wait returns how long a reload has to wait: for the last one to be old enough,
// and for the memory that a further generation of workers takes.
func (r *Reconciler) wait() time.Duration {
	if wait := reloadInterval - time.Since(r.reloaded); wait > 0 {
		return wait
	}
	memory, err := r.NGINX.Memory()
	if err != nil {
		r.Log.Warn("the memory of a reload is not known", "error", err)
		return 0
	}
	if memory.Fits() {
		r.waiting = false
		return 0
	}
	if !r.waiting {
		reloads.WithLabelValues("postponed").Inc()
		r.Log.Warn("a reload waits for memory; only endpoints change meanwhile",
			"used", memory.Used, "needed", memory.Needed, "limit", memory.Limit, "workers_leaving", memory.Leaving)
	}
	r.waiting = true
	return memoryInterval
}

// serveWithoutCulprits finds the Ingresses that NGINX refuses and serves the
// others.
func (r *Reconciler) serveWithoutCulprits(ctx context.Context, objects ingress.Objects, refusal *nginx.RefusedError) ([]ingress.Problem, error) {
	reloads.WithLabelValues("refused").Inc()
	r.Log.Error("nginx refuses the configuration; looking for the Ingress that is to blame", "error", refusal.Output)
	good, culprits, err := r.isolate(ctx, objects)
	if err != nil {
		return nil, err
	}
	objects.Ingresses = good
	model, problems := ingress.Build(objects, r.NGINX.Settings)
	if err := r.apply(ctx, model); err != nil {
		return nil, err
	}
	r.accept(good)
	problems = append(problems, culprits...)
	// The same objects would be refused again at the next change of anything.
	// A generation is part of what was rendered, so it is rendered once more.
	objects.Ingresses = append(append([]*networkingv1.Ingress{}, good...), ingressesOf(culprits)...)
	whole, _ := ingress.Build(objects, r.NGINX.Settings)
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
		r.endpoints = model.Endpoints
		return r.NGINX.ServeEndpoints(ctx, model.Endpoints)
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
	r.generation, r.serving, r.endpoints, r.reloaded = model.Generation, model.Render(), model.Endpoints, time.Now()
	r.refused, r.refusedProblems = nil, nil
	reloads.WithLabelValues("ok").Inc()
	r.Log.Info("nginx serves a new configuration", "generation", r.generation,
		"hosts", len(model.Hosts)-1, "backends", len(model.Endpoints), "duration", time.Since(started).Seconds())
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
