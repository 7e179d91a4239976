// Package rollout tells whether the workloads of a namespace serve, waits until
// they do, and says why they do not.
//
// A [Snapshot] (snapshot.go) is what it sees. A pod's state becomes a [Reason]
// (reason.go), a workload's a list of them (reasons.go). grace.go decides which of
// them end a rollout, and which may still pass. [Rollout] waits (wait.go).
// [Explain] collects the evidence of a failed rollout (evidence.go).
//
// It knows only Kubernetes, neither Helm nor berth.yaml.
package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// Workload is a Deployment or StatefulSet of a release. The application is a
// Deployment, its database a StatefulSet.
type Workload struct {
	Kind string
	Name string
}

func (w Workload) String() string { return strings.ToLower(w.Kind) + " " + w.Name }

// Workloads returns those that a release's manifest names.
func Workloads(manifest string) ([]Workload, error) {
	var found []Workload
	for _, document := range strings.Split("\n"+manifest, "\n---") {
		var object struct {
			Kind     string            `json:"kind"`
			Metadata metav1.ObjectMeta `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return nil, fmt.Errorf("read the release's manifest: %w", err)
		}
		if object.Kind == "Deployment" || object.Kind == "StatefulSet" {
			found = append(found, Workload{object.Kind, object.Metadata.Name})
		}
	}
	return found, nil
}

// Snapshot is the state of a namespace at one moment.
type Snapshot struct {
	// Deployments by name.
	Deployments  map[string]*apps.Deployment
	replicaSets  []apps.ReplicaSet
	statefulSets map[string]*apps.StatefulSet
	Pods         []core.Pod
	services     []core.Service
	slices       []discovery.EndpointSlice
	events       []core.Event
}

// Take takes a snapshot of a namespace.
func Take(ctx context.Context, client API, namespace string) (*Snapshot, error) {
	var (
		deployments  apps.DeploymentList
		replicaSets  apps.ReplicaSetList
		statefulSets apps.StatefulSetList
		pods         core.PodList
		services     core.ServiceList
		endpoints    discovery.EndpointSliceList
		events       core.EventList
	)
	for _, list := range []runtime.Object{&deployments, &replicaSets, &statefulSets, &pods, &services, &endpoints, &events} {
		if err := client.List(ctx, namespace, list); err != nil {
			return nil, err
		}
	}
	s := &Snapshot{
		Deployments:  map[string]*apps.Deployment{},
		statefulSets: map[string]*apps.StatefulSet{},
		replicaSets:  replicaSets.Items,
		Pods:         pods.Items,
		services:     services.Items,
		slices:       endpoints.Items,
		events:       events.Items,
	}
	for i := range deployments.Items {
		s.Deployments[deployments.Items[i].Name] = &deployments.Items[i]
	}
	for i := range statefulSets.Items {
		s.statefulSets[statefulSets.Items[i].Name] = &statefulSets.Items[i]
	}
	return s, nil
}

// revisionAnnotation is where the Deployment controller numbers its
// ReplicaSets; the newest has the Deployment's own number.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// newReplicaSet returns the ReplicaSet of a Deployment's present template, or
// nil until the controller has made it.
func (s *Snapshot) newReplicaSet(d *apps.Deployment) *apps.ReplicaSet {
	if d.Status.ObservedGeneration < d.Generation {
		return nil
	}
	for i := range s.replicaSets {
		rs := &s.replicaSets[i]
		if metav1.IsControlledBy(rs, d) && rs.Annotations[revisionAnnotation] == d.Annotations[revisionAnnotation] {
			return rs
		}
	}
	return nil
}

// PodsOf returns a workload's pods of the present template, and those of
// earlier ones. Pods on their way out are in neither: they take no new
// requests.
func (s *Snapshot) PodsOf(w Workload) (present, earlier []*core.Pod) {
	owner, hash := map[types.UID]bool{}, ""
	var newest types.UID
	switch w.Kind {
	case "Deployment":
		d := s.Deployments[w.Name]
		if d == nil {
			return nil, nil
		}
		for i := range s.replicaSets {
			if metav1.IsControlledBy(&s.replicaSets[i], d) {
				owner[s.replicaSets[i].UID] = true
			}
		}
		if rs := s.newReplicaSet(d); rs != nil {
			newest = rs.UID
		}
	case "StatefulSet":
		set := s.statefulSets[w.Name]
		if set == nil {
			return nil, nil
		}
		owner[set.UID] = true
		if set.Status.ObservedGeneration >= set.Generation {
			newest, hash = set.UID, set.Status.UpdateRevision
		}
	}
	for i := range s.Pods {
		pod := &s.Pods[i]
		ref := metav1.GetControllerOf(pod)
		if ref == nil || !owner[ref.UID] || pod.DeletionTimestamp != nil {
			continue
		}
		if ref.UID == newest && (hash == "" || pod.Labels[apps.ControllerRevisionHashLabelKey] == hash) {
			present = append(present, pod)
		} else {
			earlier = append(earlier, pod)
		}
	}
	return present, earlier
}

// Belongs reports whether a pod belongs to a Deployment, in any revision, even
// while it terminates.
func (s *Snapshot) Belongs(pod *core.Pod, deployment string) bool {
	d := s.Deployments[deployment]
	owner := metav1.GetControllerOf(pod)
	if d == nil || owner == nil {
		return false
	}
	return slices.ContainsFunc(s.replicaSets, func(rs apps.ReplicaSet) bool {
		return rs.UID == owner.UID && metav1.IsControlledBy(&rs, d)
	})
}

// routed returns the pods that Services send requests to.
func (s *Snapshot) routed() map[string]bool {
	pods := map[string]bool{}
	for _, slice := range s.slices {
		for _, e := range slice.Endpoints {
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" && e.Conditions.Ready != nil && *e.Conditions.Ready {
				pods[e.TargetRef.Name] = true
			}
		}
	}
	return pods
}

// selected reports whether any Service wants to send requests to a pod.
func (s *Snapshot) selected(pod *core.Pod) bool {
	for _, service := range s.services {
		if len(service.Spec.Selector) == 0 {
			continue
		}
		all := true
		for k, v := range service.Spec.Selector {
			all = all && pod.Labels[k] == v
		}
		if all {
			return true
		}
	}
	return false
}

// Ready reports whether a pod is ready.
func Ready(pod *core.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == core.PodReady {
			return c.Status == core.ConditionTrue
		}
	}
	return false
}

// Missing says what still keeps one workload from serving, or "".
func (s *Snapshot) Missing(w Workload) string {
	present, earlier := s.PodsOf(w)
	want, observed, done := 0, false, false
	switch w.Kind {
	case "Deployment":
		d := s.Deployments[w.Name]
		if d == nil {
			return w.String() + " is not there"
		}
		want = Replicas(d.Spec.Replicas)
		observed = d.Status.ObservedGeneration >= d.Generation && s.newReplicaSet(d) != nil
		// Available, not only ready: a pod counts once it was ready for
		// minReadySeconds.
		done = int(d.Status.UpdatedReplicas) == want && int(d.Status.Replicas) == want && int(d.Status.AvailableReplicas) == want
	case "StatefulSet":
		set := s.statefulSets[w.Name]
		if set == nil {
			return w.String() + " is not there"
		}
		want = Replicas(set.Spec.Replicas)
		observed = set.Status.ObservedGeneration >= set.Generation
		done = int(set.Status.UpdatedReplicas) == want && int(set.Status.AvailableReplicas) == want
	}
	if !observed {
		return w.Name + " is being taken up"
	}
	ready := 0
	routed := s.routed()
	unrouted := 0
	for _, pod := range present {
		if Ready(pod) {
			ready++
			if s.selected(pod) && !routed[pod.Name] {
				unrouted++
			}
		}
	}
	switch {
	case ready < want:
		return fmt.Sprintf("%s: %d of %d pods ready", w.Name, ready, want)
	case unrouted > 0:
		return fmt.Sprintf("%s: %d of %d pods get requests", w.Name, want-unrouted, want)
	case len(earlier) > 0:
		return fmt.Sprintf("%s: %d of %d pods ready, %s of the last revision leaving", w.Name, ready, want, count(len(earlier), "pod"))
	case !done:
		return fmt.Sprintf("%s: %d of %d pods ready, settling", w.Name, ready, want)
	}
	return ""
}

// Replicas is how many pods a workload asks for.
func Replicas(wanted *int32) int {
	if wanted == nil {
		return 1
	}
	return int(*wanted)
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// eventTime is when an event last happened. Reporters use one field or another.
func eventTime(e *core.Event) time.Time {
	latest := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.FirstTimestamp.Time, e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(latest) {
			latest = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(latest) {
		latest = e.Series.LastObservedTime.Time
	}
	return latest
}
