package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

// reasons returns what is wrong with the present pods of a workload and with
// making them since a time, whether it may still recover by itself or not.
func (s *Snapshot) reasons(w Workload, since, now time.Time) []Reason {
	var reasons []Reason
	if c := s.condition(w, apps.DeploymentReplicaFailure); c != nil && c.Status == core.ConditionTrue {
		reasons = append(reasons, Reason{Object: w.String(), Reason: c.Reason, Message: c.Message})
	}
	present, earlier := s.PodsOf(w)
	// A StatefulSet has no such condition, only events.
	if set := s.statefulSets[w.Name]; w.Kind == "StatefulSet" && set != nil && len(present)+len(earlier) < Replicas(set.Spec.Replicas) {
		for _, e := range s.events {
			if e.Reason == "FailedCreate" && e.InvolvedObject.UID == set.UID && !eventTime(&e).Before(since.Truncate(time.Second)) {
				reasons = append(reasons, Reason{Object: w.String(), Reason: e.Reason, Message: e.Message})
				break
			}
		}
	}
	failed := 0
	for _, pod := range present {
		if pod.Status.Phase == core.PodFailed {
			failed++
		}
	}
	for _, pod := range present {
		// Another pod takes the place of one that its node has put away, which stays as
		// a record. Like a crash, once may be an accident.
		if w.Kind == "Deployment" && pod.Status.Phase == core.PodFailed && failed < crashes {
			continue
		}
		found := s.podReasons(pod, now)
		if blocked, ok := s.blocked(pod); ok && len(found) == 0 {
			found = []Reason{blocked}
		}
		reasons = append(reasons, found...)
	}
	return reasons
}

// cannotBeMade are the events of a pod whose containers wait for a volume or for the
// network, of which its status says nothing.
var cannotBeMade = map[string]bool{"FailedMount": true, "FailedMapVolume": true, "FailedAttachVolume": true, "FailedCreatePodSandBox": true}

// blocked returns what a pod waits for whose containers cannot be made yet. All of it may
// pass, except that a Secret is not there, which nobody makes meanwhile.
func (s *Snapshot) blocked(pod *core.Pod) (Reason, bool) {
	for _, c := range Statuses(pod) {
		waiting := c.State.Waiting
		if waiting == nil || waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing" || c.RestartCount > 0 {
			return Reason{}, false
		}
	}
	e := s.lastEvent(pod, "", func(e *core.Event) bool { return cannotBeMade[e.Reason] })
	if e == nil {
		return Reason{}, false
	}
	return Reason{Object: "pod " + pod.Name, Node: pod.Spec.NodeName, Pod: pod.Name, Reason: e.Reason, Message: strings.TrimSpace(e.Message),
		passing: !strings.Contains(e.Message, "not found")}, true
}

// podReasons returns what is wrong with a pod. That a probe fails says more than
// the crash that the kubelet makes of it.
func (s *Snapshot) podReasons(pod *core.Pod, now time.Time) []Reason {
	reasons := PodReasons(pod)
	for _, c := range pod.Status.ContainerStatuses {
		r, ok := s.probeReason(pod, c, now)
		if !ok {
			continue
		}
		same := func(other Reason) bool { return other.Container == c.Name }
		if slices.ContainsFunc(reasons, same) && !r.exhausted {
			continue
		}
		reasons = append(slices.DeleteFunc(reasons, same), r)
	}
	return reasons
}

// exceeded reports whether Kubernetes has given up on a Deployment, and whether that
// had its time since its image was last seen to be fetched, which Kubernetes counts in.
func (s *Snapshot) exceeded(w Workload, pulled time.Duration) bool {
	c := s.condition(w, apps.DeploymentProgressing)
	if c == nil || c.Status != core.ConditionFalse || c.Reason != "ProgressDeadlineExceeded" {
		return false
	}
	limit := s.Deployments[w.Name].Spec.ProgressDeadlineSeconds
	return limit == nil || pulled > time.Duration(*limit)*time.Second
}

// condition returns a Deployment's condition of its present template, or nil.
func (s *Snapshot) condition(w Workload, kind apps.DeploymentConditionType) *apps.DeploymentCondition {
	d := s.Deployments[w.Name]
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

// late returns why time ran out.
func late(s *Snapshot, ws []Workload, missing []string, deadline time.Duration) []Reason {
	var reasons []Reason
	for _, w := range ws {
		if s.Missing(w) != "" {
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
func (s *Snapshot) late(w Workload) []Reason {
	var reasons []Reason
	present, _ := s.PodsOf(w)
	for _, pod := range present {
		if Ready(pod) {
			continue
		}
		if known := s.podReasons(pod, time.Now()); len(known) > 0 {
			reasons = append(reasons, known...)
			continue
		}
		if blocked, ok := s.blocked(pod); ok {
			reasons = append(reasons, blocked)
			continue
		}
		reasons = append(reasons, unready(pod)...)
	}
	if len(reasons) == 0 {
		reasons = []Reason{{Object: w.String(), Reason: "ProgressDeadlineExceeded", Message: s.Missing(w)}}
	}
	return reasons
}
