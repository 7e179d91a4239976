package rollout

import (
	"strings"
	"time"

	core "k8s.io/api/core/v1"
)

// Pulling reports whether a node is fetching an image for a pod, by the pod's events.
// That takes as long as the image is large and the registry far, and nothing of the pod
// changes meanwhile. The container runtime gives up a download that stands still.
func Pulling(pod *core.Pod, events []core.Event) bool {
	for _, c := range Statuses(pod) {
		if c.State.Waiting == nil || c.State.Waiting.Reason != "ContainerCreating" && c.State.Waiting.Reason != "PodInitializing" {
			continue
		}
		var began, ended time.Time
		for i := range events {
			e := &events[i]
			if e.InvolvedObject.UID != pod.UID || !strings.HasSuffix(e.InvolvedObject.FieldPath, "{"+c.Name+"}") {
				continue
			}
			switch at := eventTime(e); e.Reason {
			case "Pulling":
				began = later(began, at)
			case "Pulled", "Failed", "BackOff":
				ended = later(ended, at)
			}
		}
		if began.After(ended) {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pulling reports whether an image is being fetched for a present pod of a workload.
func (s *Snapshot) pulling(w Workload) bool {
	present, _ := s.PodsOf(w)
	for _, pod := range present {
		if Pulling(pod, s.events) {
			return true
		}
	}
	return false
}
