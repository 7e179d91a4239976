package release

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

// A Reason is one thing that keeps a revision from serving.
type Reason struct {
	// Object is what it is about, as "pod realworld-5d8c-x2x".
	Object string `json:"object"`
	Node   string `json:"node,omitempty"`
	// Container is empty when it is about the pod as a whole.
	Container string `json:"container,omitempty"`
	// Reason is Kubernetes' own word for it: CrashLoopBackOff, Unschedulable.
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// ExitCode and Signal are how a container that crashed ended. ExitCode is
	// nil when it did not.
	ExitCode *int32 `json:"exitCode,omitempty"`
	Signal   int32  `json:"signal,omitempty"`
	Restarts int32  `json:"restarts,omitempty"`
	// Log is the end of what the container wrote, the instance that crashed
	// when one did. Values of secrets are masked.
	Log []string `json:"log,omitempty"`

	pod string
}

// String is the reason in one line.
func (r Reason) String() string {
	var b strings.Builder
	b.WriteString(r.Object)
	if r.Container != "" {
		b.WriteString(", container " + r.Container)
	}
	b.WriteString(": " + r.Reason)
	if r.ExitCode != nil {
		fmt.Fprintf(&b, ", exit code %d", *r.ExitCode)
		if name := signals[r.signal()]; name != "" {
			fmt.Fprintf(&b, " (%s)", name)
		}
	}
	if r.Restarts > 0 {
		fmt.Fprintf(&b, ", %s", count(int(r.Restarts), "restart"))
	}
	if r.Message != "" {
		b.WriteString(": " + r.Message)
	}
	return b.String()
}

// signal is what ended the container. Runtimes report it as an exit code of
// 128 and more, as a shell does.
func (r Reason) signal() int32 {
	if r.Signal == 0 && r.ExitCode != nil && *r.ExitCode > 128 {
		return *r.ExitCode - 128
	}
	return r.Signal
}

var signals = map[int32]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
	9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM", 31: "SIGSYS",
}

// How long a state that may mend itself is borne. What is not here is final at
// once.
var bearable = map[string]time.Duration{
	// A registry may be away for a moment; the kubelet tries again.
	"ImagePullBackOff": 30 * time.Second,
	"ErrImagePull":     30 * time.Second,
	// A Secret or ConfigMap may be made by somebody else right now.
	"CreateContainerConfigError": 15 * time.Second,
	"CreateContainerError":       15 * time.Second,
	// Quota frees itself when old pods go; a webhook may be starting.
	"FailedCreate": 15 * time.Second,
	// Pods that leave make room; an autoscaler that adds a node says so.
	"Unschedulable": 60 * time.Second,
}

// final are the waiting reasons of a container that end a rollout.
var final = map[string]bool{
	"ErrImageNeverPull": true, "InvalidImageName": true, "ErrImagePull": true, "ImagePullBackOff": true, "ImageInspectError": true,
	"CreateContainerConfigError": true, "CreateContainerError": true,
}

// crashes is how many restarts show that a container will not come up. One may
// be an accident.
const crashes = 2

// patience tells what will not mend itself from what may.
type patience struct {
	started time.Time
	// first is when a trouble was first seen, by what it is about.
	first map[string]time.Time
	// restarts are those that containers had had when they were first looked at,
	// by pod and container, of pods that are older than the wait. A cluster
	// that was stopped restarts them all, which is no crash.
	restarts map[string]int32
	// databaseReady is when all StatefulSets were first ready. An application
	// that starts along with its database may crash until then.
	databaseReady time.Time
}

// lost returns why the present pods of workloads will not serve; nothing while
// they still may.
func (p *patience) lost(s *sight, ws []workload, now time.Time) []Reason {
	p.remember(s)
	waiting := false
	for _, w := range ws {
		waiting = waiting || w.Kind == "StatefulSet" && s.missing(w) != ""
	}
	if !waiting && p.databaseReady.IsZero() {
		p.databaseReady = now
	}
	var reasons []Reason
	seen := map[string]bool{}
	for _, w := range ws {
		if s.exceeded(w) && !waiting && (p.together() || now.Sub(p.databaseReady) > afterDatabase) {
			reasons = append(reasons, s.late(w)...)
			continue
		}
		for _, r := range s.troubles(w, p.started) {
			if r.Reason == crashLoop || r.crashed() {
				if r.Restarts-p.restarts[r.pod+"/"+r.Container] < crashes {
					continue
				}
				if w.Kind == "Deployment" && (waiting || !p.counts(s, r)) {
					continue
				}
				reasons = append(reasons, r)
				continue
			}
			// A pull that fails and the pause after it take turns: each time
			// the kubelet tries again is no new beginning.
			about := r.Reason
			if about == "ErrImagePull" {
				about = "ImagePullBackOff"
			}
			key := strings.Join([]string{r.Object, r.Container, about}, "\x00")
			seen[key] = true
			if _, known := p.first[key]; !known {
				p.first[key] = now
			}
			if now.Sub(p.first[key]) >= bearable[r.Reason] {
				reasons = append(reasons, r)
			}
		}
	}
	for key := range p.first {
		if !seen[key] {
			delete(p.first, key)
		}
	}
	return reasons
}

// remember counts earlier restarts at the first look.
func (p *patience) remember(s *sight) {
	if p.restarts != nil {
		return
	}
	p.restarts = map[string]int32{}
	for i := range s.pods {
		pod := &s.pods[i]
		if !pod.CreationTimestamp.Time.Before(p.started.Truncate(time.Second)) {
			continue
		}
		for _, c := range statuses(pod) {
			p.restarts[pod.Name+"/"+c.Name] = c.RestartCount
		}
	}
}

// together reports whether the database was there from the beginning.
func (p *patience) together() bool {
	return !p.databaseReady.After(p.started.Add(2 * time.Second))
}

// afterDatabase is how long the application may still take after the database
// got ready, when Kubernetes already thinks that it took too long.
const afterDatabase = time.Minute

const crashLoop = "CrashLoopBackOff"

func (r Reason) crashed() bool { return r.ExitCode != nil }

// counts reports whether a crash is the application's own fault: of an instance
// that began when its database was there. The clocks of nodes are near enough.
func (p *patience) counts(s *sight, r Reason) bool {
	if p.together() {
		return true
	}
	for i := range s.pods {
		if s.pods[i].Name != r.pod {
			continue
		}
		for _, c := range statuses(&s.pods[i]) {
			if t := lastEnd(c); c.Name == r.Container && t != nil {
				return t.StartedAt.After(p.databaseReady)
			}
		}
	}
	return true
}

// troubles returns what is wrong with the present pods of a workload and with
// making them since a time, whether it may still mend itself or not.
func (s *sight) troubles(w workload, since time.Time) []Reason {
	var reasons []Reason
	if c := s.condition(w, apps.DeploymentReplicaFailure); c != nil && c.Status == core.ConditionTrue {
		reasons = append(reasons, Reason{Object: w.String(), Reason: c.Reason, Message: c.Message})
	}
	present, earlier := s.podsOf(w)
	// A StatefulSet has no such condition, only events.
	if set := s.statefulSets[w.Name]; w.Kind == "StatefulSet" && set != nil && len(present)+len(earlier) < replicas(set.Spec.Replicas) {
		for _, e := range s.refusals {
			if e.Reason == "FailedCreate" && e.InvolvedObject.UID == set.UID && !eventTime(&e).Before(since.Truncate(time.Second)) {
				reasons = append(reasons, Reason{Object: w.String(), Reason: e.Reason, Message: e.Message})
				break
			}
		}
	}
	for _, pod := range present {
		reasons = append(reasons, podTroubles(pod)...)
	}
	return reasons
}

// exceeded reports whether Kubernetes has given up on a Deployment.
func (s *sight) exceeded(w workload) bool {
	c := s.condition(w, apps.DeploymentProgressing)
	return c != nil && c.Status == core.ConditionFalse && c.Reason == "ProgressDeadlineExceeded"
}

// condition returns a Deployment's condition of its present template, or nil.
func (s *sight) condition(w workload, kind apps.DeploymentConditionType) *apps.DeploymentCondition {
	d := s.deployments[w.Name]
	if w.Kind != "Deployment" || d == nil || d.Status.ObservedGeneration < d.Generation {
		return nil
	}
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == kind {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

// podTroubles returns what keeps a pod from running.
func podTroubles(pod *core.Pod) []Reason {
	about := Reason{Object: "pod " + pod.Name, Node: pod.Spec.NodeName, pod: pod.Name}
	for _, c := range pod.Status.Conditions {
		if c.Type == core.PodScheduled && c.Status == core.ConditionFalse && c.Reason == core.PodReasonUnschedulable {
			about.Reason, about.Message = c.Reason, c.Message
			return []Reason{about}
		}
	}
	var reasons []Reason
	for _, c := range statuses(pod) {
		r := about
		r.Container, r.Restarts = c.Name, c.RestartCount
		waiting := c.State.Waiting
		if waiting != nil && final[waiting.Reason] {
			r.Reason, r.Message = waiting.Reason, waiting.Message
			reasons = append(reasons, r)
			continue
		}
		end := lastEnd(c)
		if end == nil || c.RestartCount < crashes || c.Ready {
			continue
		}
		code := end.ExitCode
		r.ExitCode, r.Signal, r.Message = &code, end.Signal, strings.TrimSpace(end.Message)
		// "Error" says less than that it happens again and again; "OOMKilled"
		// and "ContainerCannotRun" say more.
		if r.Reason = end.Reason; r.Reason == "Error" || r.Reason == "Completed" || r.Reason == "" {
			r.Reason = crashLoop
		}
		reasons = append(reasons, r)
	}
	return reasons
}

// statuses returns a pod's containers, those that run first at the beginning.
func statuses(pod *core.Pod) []core.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

// lastEnd is how a container last ended, or nil when it never did.
func lastEnd(c core.ContainerStatus) *core.ContainerStateTerminated {
	return cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated)
}

// late returns why time ran out.
func late(s *sight, ws []workload, missing []string, deadline time.Duration) []Reason {
	var reasons []Reason
	for _, w := range ws {
		if s.missing(w) != "" {
			reasons = append(reasons, s.late(w)...)
		}
	}
	if len(reasons) == 0 {
		reasons = []Reason{{Object: "release", Reason: "Timeout",
			Message: fmt.Sprintf("%s after %s", strings.Join(missing, ", "), deadline)}}
	}
	return reasons
}

// late returns what is wrong with the pods of a workload whose time ran out:
// each that is not ready, with the best that is known of it.
func (s *sight) late(w workload) []Reason {
	var reasons []Reason
	present, _ := s.podsOf(w)
	for _, pod := range present {
		if podReady(pod) {
			continue
		}
		if known := podTroubles(pod); len(known) > 0 {
			reasons = append(reasons, known...)
			continue
		}
		reasons = append(reasons, unready(pod)...)
	}
	if len(reasons) == 0 {
		reasons = []Reason{{Object: w.String(), Reason: "ProgressDeadlineExceeded", Message: s.missing(w)}}
	}
	return reasons
}

// unready tells of the containers of a pod that run, or wait, without ever
// getting ready.
func unready(pod *core.Pod) []Reason {
	var reasons []Reason
	for _, c := range statuses(pod) {
		r := Reason{Object: "pod " + pod.Name, Node: pod.Spec.NodeName, pod: pod.Name,
			Container: c.Name, Restarts: c.RestartCount}
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "PodInitializing":
			r.Reason, r.Message = c.State.Waiting.Reason, c.State.Waiting.Message
		case c.State.Running != nil && !c.Ready:
			r.Reason, r.Message = "NotReady", "it runs, but its readiness probe does not succeed"
			if end := c.LastTerminationState.Terminated; end != nil {
				r.ExitCode, r.Signal = &end.ExitCode, end.Signal
			}
		default:
			continue
		}
		reasons = append(reasons, r)
	}
	if len(reasons) == 0 {
		reasons = []Reason{{Object: "pod " + pod.Name, Node: pod.Spec.NodeName, pod: pod.Name,
			Reason: cmp.Or(pod.Status.Reason, string(pod.Status.Phase)), Message: pod.Status.Message}}
	}
	return reasons
}
