package release

import (
	"context"
	"fmt"
	"strings"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// workload is a Deployment or StatefulSet of a release. The application is a
// Deployment, its database a StatefulSet.
type workload struct {
	Kind string
	Name string
}

func (w workload) String() string { return strings.ToLower(w.Kind) + " " + w.Name }

// workloads returns those that a release's manifest names.
func workloads(manifest string) ([]workload, error) {
	var found []workload
	for _, document := range strings.Split("\n"+manifest, "\n---") {
		var object struct {
			Kind     string            `json:"kind"`
			Metadata metav1.ObjectMeta `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return nil, fmt.Errorf("read the release's manifest: %w", err)
		}
		if object.Kind == "Deployment" || object.Kind == "StatefulSet" {
			found = append(found, workload{object.Kind, object.Metadata.Name})
		}
	}
	return found, nil
}

// sight is what one look at a namespace showed.
type sight struct {
	deployments  map[string]*apps.Deployment
	replicaSets  []apps.ReplicaSet
	statefulSets map[string]*apps.StatefulSet
	pods         []core.Pod
	services     []core.Service
	slices       []discovery.EndpointSlice
	// refusals are the events of pods that could not be made.
	refusals []core.Event
}

// look takes a sight of a namespace.
func look(ctx context.Context, client kubernetes.Interface, namespace string) (*sight, error) {
	all := metav1.ListOptions{}
	deployments, err := client.AppsV1().Deployments(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	replicaSets, err := client.AppsV1().ReplicaSets(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	statefulSets, err := client.AppsV1().StatefulSets(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	services, err := client.CoreV1().Services(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	slices, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, all)
	if err != nil {
		return nil, err
	}
	refusals, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
	if err != nil {
		return nil, err
	}
	s := &sight{
		deployments:  map[string]*apps.Deployment{},
		statefulSets: map[string]*apps.StatefulSet{},
		replicaSets:  replicaSets.Items,
		pods:         pods.Items,
		services:     services.Items,
		slices:       slices.Items,
		refusals:     refusals.Items,
	}
	for i := range deployments.Items {
		s.deployments[deployments.Items[i].Name] = &deployments.Items[i]
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
func (s *sight) newReplicaSet(d *apps.Deployment) *apps.ReplicaSet {
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

// podsOf returns a workload's pods of the present template, and those of
// earlier ones. Pods on their way out are in neither: they take no new
// requests.
func (s *sight) podsOf(w workload) (present, earlier []*core.Pod) {
	owner, hash := map[types.UID]bool{}, ""
	var newest types.UID
	switch w.Kind {
	case "Deployment":
		d := s.deployments[w.Name]
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
	for i := range s.pods {
		pod := &s.pods[i]
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

// routed returns the pods that Services send requests to.
func (s *sight) routed() map[string]bool {
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
func (s *sight) selected(pod *core.Pod) bool {
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

func podReady(pod *core.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == core.PodReady {
			return c.Status == core.ConditionTrue
		}
	}
	return false
}
