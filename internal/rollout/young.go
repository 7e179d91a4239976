package rollout

import (
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
)

// young tells of workloads without a probe that have not yet run for as long as
// starting takes. Kubernetes counts such a pod as ready once its process runs,
// and as available minReadySeconds later, however slow the node: a worker that
// takes longer to load its libraries, and then ends, would pass for one that
// works. How long starting takes, the pods with a probe tell, which are of the
// same revision and most often of the same image: half as long again must do.
func (s *Snapshot) young(workloads []Workload, started, now time.Time) []string {
	var longest time.Duration
	for _, w := range workloads {
		pods, _ := s.PodsOf(w)
		for _, pod := range pods {
			if since, ok := running(pod); ok && w.Kind == "Deployment" && probed(pod) {
				longest = max(longest, readySince(pod).Sub(since))
			}
		}
	}
	// A pod that was away for a while and is back says nothing of its start.
	longest = min(longest, now.Sub(started)) * 3 / 2
	var young []string
	for _, w := range workloads {
		pods, _ := s.PodsOf(w)
		for _, pod := range pods {
			if since, ok := running(pod); ok && !probed(pod) && now.Sub(since) < longest {
				young = append(young, fmt.Sprintf("%s: started %s ago, settling", w.Name, now.Sub(since).Round(time.Second)))
				break
			}
		}
	}
	return young
}

// probed reports whether a pod's readiness says more than that its processes run.
func probed(pod *core.Pod) bool {
	for _, c := range pod.Spec.Containers {
		if c.ReadinessProbe != nil || c.StartupProbe != nil {
			return true
		}
	}
	return false
}

// running is since when all containers of a pod run.
func running(pod *core.Pod) (since time.Time, ok bool) {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running == nil {
			return time.Time{}, false
		}
		if c.State.Running.StartedAt.After(since) {
			since = c.State.Running.StartedAt.Time
		}
	}
	return since, !since.IsZero()
}

// readySince is when a pod came to be ready, or the zero time.
func readySince(pod *core.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == core.PodReady && c.Status == core.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}
