package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"berth/internal/kube/own"
)

// cluster is what informers know of the cluster. Every object is stripped of what
// nobody asks for before it is kept; those of namespaces that are not watched, of
// everything.
type cluster struct {
	namespaces []string
	// changed gets a value soon after something has changed.
	changed   chan struct{}
	informers []cache.SharedIndexInformer

	pods, events, jobs, cronJobs, nodes, leases, deployments, statefulSets, daemonSets cache.SharedIndexInformer

	mutex sync.Mutex
	// renewed is when a lock was last seen to be renewed, by this clock: the
	// holder's may be wrong.
	renewed map[string]time.Time
}

// syncTime bounds the first look at everything.
const syncTime = 2 * time.Minute

func newCluster(client *API, namespaces []string) *cluster {
	c := &cluster{namespaces: namespaces, changed: make(chan struct{}, 1), renewed: map[string]time.Time{}}
	c.pods = c.follow(client.core, "pods", &core.Pod{}, nil)
	c.events = c.follow(client.core, "events", &core.Event{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("type", core.EventTypeWarning).String()
	})
	c.nodes = c.follow(client.core, "nodes", &core.Node{}, nil)
	c.jobs = c.follow(client.batch, "jobs", &batch.Job{}, nil)
	c.cronJobs = c.follow(client.batch, "cronjobs", &batch.CronJob{}, nil)
	c.deployments = c.follow(client.apps, "deployments", &apps.Deployment{}, nil)
	c.statefulSets = c.follow(client.apps, "statefulsets", &apps.StatefulSet{}, nil)
	c.daemonSets = c.follow(client.apps, "daemonsets", &apps.DaemonSet{}, nil)
	c.leases = c.follow(client.coordination, "leases", &coordination.Lease{}, func(o *metav1.ListOptions) {
		// Not those of nodes and controllers, which change every few seconds.
		o.LabelSelector = own.ManagedBy + "=" + own.Manager
	})
	return c
}

// follow makes an informer of one kind of object.
func (c *cluster) follow(client rest.Interface, resource string, sample runtime.Object, options func(*metav1.ListOptions)) cache.SharedIndexInformer {
	if options == nil {
		options = func(*metav1.ListOptions) {}
	}
	source := cache.NewFilteredListWatchFromClient(client, resource, metav1.NamespaceAll, options)
	informer := cache.NewSharedIndexInformer(source, sample, 0, cache.Indexers{})
	// Both fail only for an informer that runs already.
	_ = informer.SetTransform(func(object any) (any, error) { return c.strip(object), nil })
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.saw,
		UpdateFunc: func(_, object any) { c.saw(object) },
		DeleteFunc: c.saw,
	})
	c.informers = append(c.informers, informer)
	return informer
}

// start begins to follow and waits until everything was seen once.
func (c *cluster) start(ctx context.Context, all *sync.WaitGroup) error {
	synced := make([]cache.InformerSynced, 0, len(c.informers))
	for _, informer := range c.informers {
		all.Go(func() { informer.RunWithContext(ctx) })
		synced = append(synced, informer.HasSynced)
	}
	waiting, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	if !cache.WaitForCacheSync(waiting.Done(), synced...) && ctx.Err() == nil {
		return fmt.Errorf("look at the cluster: %w", errors.New("the API server does not answer, or refuses"))
	}
	return ctx.Err()
}

// saw notes that an object has changed.
func (c *cluster) saw(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	about, err := meta.Accessor(object)
	if err != nil || !c.watched(about.GetNamespace()) {
		return
	}
	if lease, ok := object.(*coordination.Lease); ok {
		c.mutex.Lock()
		c.renewed[lease.Namespace+"/"+lease.Name] = time.Now()
		c.mutex.Unlock()
	}
	c.touch()
}

func (c *cluster) touch() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// listed returns what an informer has of the watched namespaces.
func listed[T any](c *cluster, informer cache.SharedIndexInformer) []T {
	var all []T
	for _, object := range informer.GetStore().List() {
		about, err := meta.Accessor(object)
		kept, ok := object.(T)
		if err == nil && ok && c.watched(about.GetNamespace()) {
			all = append(all, kept)
		}
	}
	return all
}

// world is what the informers know now.
func (c *cluster) world(now time.Time) *World {
	w := &World{
		Now: now, Deploying: map[string]bool{},
		Pods:     listed[*core.Pod](c, c.pods),
		Events:   listed[*core.Event](c, c.events),
		Jobs:     listed[*batch.Job](c, c.jobs),
		CronJobs: listed[*batch.CronJob](c, c.cronJobs),
		Nodes:    listed[*core.Node](c, c.nodes),
	}
	c.mutex.Lock()
	for _, lease := range listed[*coordination.Lease](c, c.leases) {
		lasts := int32(30)
		if lease.Spec.LeaseDurationSeconds != nil {
			lasts = *lease.Spec.LeaseDurationSeconds
		}
		held := lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != ""
		if held && now.Sub(c.renewed[lease.Namespace+"/"+lease.Name]) < time.Duration(lasts)*time.Second {
			w.Deploying[lease.Namespace] = true
		}
	}
	c.mutex.Unlock()
	for _, d := range listed[*apps.Deployment](c, c.deployments) {
		l := Workload{Namespace: d.Namespace, Kind: "Deployment", Name: d.Name, Want: wanted(d.Spec.Replicas), Ready: int(d.Status.ReadyReplicas)}
		for _, condition := range d.Status.Conditions {
			if condition.Type == apps.DeploymentReplicaFailure && condition.Status == core.ConditionTrue {
				l.Failure, l.FailureReason = condition.Message, condition.Reason
			}
		}
		w.Workloads = append(w.Workloads, l)
	}
	for _, s := range listed[*apps.StatefulSet](c, c.statefulSets) {
		l := Workload{Namespace: s.Namespace, Kind: "StatefulSet", Name: s.Name, Want: wanted(s.Spec.Replicas), Ready: int(s.Status.ReadyReplicas)}
		w.addFailure(&l)
		w.Workloads = append(w.Workloads, l)
	}
	for _, d := range listed[*apps.DaemonSet](c, c.daemonSets) {
		l := Workload{Namespace: d.Namespace, Kind: "DaemonSet", Name: d.Name,
			Want: int(d.Status.DesiredNumberScheduled), Ready: int(d.Status.NumberReady)}
		w.addFailure(&l)
		w.Workloads = append(w.Workloads, l)
	}
	return w
}

// addFailure says why a workload's pods are not made, for the kinds that have no
// condition for it but events.
func (w *World) addFailure(l *Workload) {
	for _, e := range w.eventsOf(l.Kind, l.Namespace, l.Name) {
		if e.Reason == "FailedCreate" && w.Now.Sub(e.LastTimestamp.Time) < memoryWindow {
			l.Failure, l.FailureReason = e.Message, e.Reason
		}
	}
}

func wanted(replicas *int32) int {
	if replicas == nil {
		return 1
	}
	return int(*replicas)
}
