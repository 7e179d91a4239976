package rollout

import (
	"strings"
	"time"

	core "k8s.io/api/core/v1"
)

// The reasons by which ingress controllers say that an Ingress, or a host of it,
// is not served: berth's own, and F5's.
var notServed = map[string]bool{"Conflict": true, "InvalidIngress": true, "RefusedByNGINX": true, "Rejected": true}

// IngressReasons returns why a controller does not serve an Ingress, as its
// Events since a time say.
func (s *Snapshot) IngressReasons(name string, since time.Time) []Reason {
	var reasons []Reason
	for i := range s.events {
		e := &s.events[i]
		if e.InvolvedObject.Kind != "Ingress" || e.InvolvedObject.Name != name || e.Type != core.EventTypeWarning ||
			!notServed[e.Reason] || eventTime(e).Before(since.Truncate(time.Second)) {
			continue
		}
		reasons = append(reasons, Reason{
			Object: "ingress " + name, Reason: e.Reason, Message: strings.TrimSpace(e.Message),
			Hint: "hosts, in berth.yaml, are the application's own: take another, or remove the one that has it",
		})
	}
	return reasons
}
