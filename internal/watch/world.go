package watch

import (
	"slices"
	"time"

	"strings"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A World is the state of the cluster at one moment. It must not be modified.
type World struct {
	Now time.Time
	// Namespaces are those that are watched; nothing else is in the world but
	// nodes.
	Workloads []Workload
	Pods      []*core.Pod
	// Events are warnings.
	Events   []*core.Event
	Jobs     []*batch.Job
	CronJobs []*batch.CronJob
	Nodes    []*core.Node
	// Deploying are the namespaces where a deploy holds the lock.
	Deploying map[string]bool

	// What the API server does not have. Each look may be some minutes old.
	Disks        []Disk
	Certificates []Certificate
	Sinks        []Sink
}

// A Workload keeps a number of pods running.
type Workload struct {
	Namespace, Kind, Name string
	// Want and Ready count pods.
	Want, Ready int
	// Failure is why no pods are made, as the controller says it.
	Failure, FailureReason string
}

// A Disk is a volume, or the disk of a node, which has no claim.
type Disk struct {
	Namespace, Claim string
	Node             string
	Used, Capacity   int64
	// Full is when it will be full if it goes on as it did; zero when it does
	// not grow, or nothing is known yet.
	Full time.Time
}

// A Certificate is one that hosts are served with.
type Certificate struct {
	Namespace, Name string
	Hosts           []string
	Ends            time.Time
	// Problem is why it was not renewed, where that is known.
	Problem string
}

// A Sink is where the log agent of a node sends lines.
type Sink struct {
	Node, Name string
	Failing    bool
	Answer     string
	// Lost counts lines that were dropped or refused in the last minutes.
	Lost int64
	// Agent says that it is the agent that does not answer.
	Agent bool
}

// podsOf returns a workload's pods that are not on their way out.
func (w *World) podsOf(l Workload) []*core.Pod {
	var all []*core.Pod
	for _, pod := range w.Pods {
		kind, name := ownerOf(pod)
		if pod.Namespace == l.Namespace && kind == l.Kind && name == l.Name && pod.DeletionTimestamp == nil {
			all = append(all, pod)
		}
	}
	return all
}

// eventsOf returns the warnings about an object.
func (w *World) eventsOf(kind, namespace, name string) []core.Event {
	var all []core.Event
	for _, e := range w.Events {
		about := e.InvolvedObject
		if about.Kind == kind && about.Namespace == namespace && about.Name == name {
			all = append(all, *e)
		}
	}
	return all
}

// gone are the nodes that do not answer.
func (w *World) gone() []string {
	var names []string
	for _, node := range w.Nodes {
		if c := nodeCondition(node, core.NodeReady); c == nil || c.Status != core.ConditionTrue {
			names = append(names, node.Name)
		}
	}
	return names
}

func (w *World) onGoneNode(pod *core.Pod) bool {
	return pod.Spec.NodeName != "" && slices.Contains(w.gone(), pod.Spec.NodeName)
}

func nodeCondition(node *core.Node, kind core.NodeConditionType) *core.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

// ownerOf is the workload that a pod is of, or its Job.
func ownerOf(pod *core.Pod) (kind, name string) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return "", ""
	}
	if owner.Kind == "ReplicaSet" {
		// A Deployment's ReplicaSets are named after it and their template.
		if name, ok := strings.CutSuffix(owner.Name, "-"+pod.Labels["pod-template-hash"]); ok {
			return "Deployment", name
		}
	}
	return owner.Kind, owner.Name
}
