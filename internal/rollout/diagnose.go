package rollout

import (
	"time"

	core "k8s.io/api/core/v1"
)

// Diagnose returns why a pod does not serve, as a deploy would say it, from the
// pod and the warnings about it. Known says that it is more than that the pod is
// not ready yet, which a pod that starts is not either.
func Diagnose(pod *core.Pod, events []core.Event, now time.Time) (reasons []Reason, known bool) {
	s := &Snapshot{events: events}
	if reasons := s.podReasons(pod, now); len(reasons) > 0 {
		return reasons, true
	}
	return unready(pod), false
}

// StartTime is how long the containers of a pod may take to start, as their
// probes have it; 0 where they have none.
func StartTime(pod *core.Pod) time.Duration {
	var longest time.Duration
	for _, c := range pod.Spec.Containers {
		if p, ok := probeOf(pod, c.Name); ok {
			longest = max(longest, p.startup)
		}
	}
	return longest
}
