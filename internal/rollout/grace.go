package rollout

import (
	"strings"
	"time"
)

// How long a state that may recover by itself is tolerated. What is not here is final at
// once.
var gracePeriods = map[string]time.Duration{
	// A registry may be away for a moment; the kubelet tries again.
	"ImagePullBackOff": 30 * time.Second,
	"ErrImagePull":     30 * time.Second,
	// A Secret or ConfigMap may be made by somebody else right now.
	"CreateContainerConfigError": 15 * time.Second,
	"CreateContainerError":       15 * time.Second,
	// Quota frees itself when old pods go; a webhook may be starting.
	"FailedCreate": 15 * time.Second,
	// The same goes for a Secret that a volume is made of.
	"FailedMount": 30 * time.Second,
	// Pods that leave make room; an autoscaler that adds a node says so.
	"Unschedulable": 60 * time.Second,
	// An answer that the same program gives again and again, as 401.
	unhealthy: 15 * time.Second,
}

// Grace is how long the reason may last before it is final: it may yet pass.
func (r Reason) Grace() time.Duration { return gracePeriods[r.Reason] }

// crashes is how many restarts show that a container will not come up. One may
// be an accident.
const crashes = 2

// grace tells states that are final from those that may recover.
type grace struct {
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
	// pulled is when an image was last seen to be fetched, by workload.
	pulled map[string]time.Time
}

// lost returns why the present pods of workloads will not serve; nothing while
// they still may.
func (p *grace) lost(s *Snapshot, ws []Workload, now time.Time) []Reason {
	p.remember(s)
	waiting := false
	for _, w := range ws {
		waiting = waiting || w.Kind == "StatefulSet" && s.Missing(w) != ""
	}
	if !waiting && p.databaseReady.IsZero() {
		p.databaseReady = now
	}
	var reasons []Reason
	seen := map[string]bool{}
	for _, w := range ws {
		if s.pulling(w) {
			p.pulled[w.Name] = now
		}
		if s.exceeded(w, now.Sub(p.pulled[w.Name])) && !waiting && (p.together() || now.Sub(p.databaseReady) > afterDatabase) {
			reasons = append(reasons, s.late(w)...)
			continue
		}
		for _, r := range s.reasons(w, p.started, now) {
			if r.passing || r.exhausted && w.Kind == "Deployment" && (waiting || !p.counts(s, r)) {
				continue
			}
			if r.Reason == crashLoop || r.crashed() {
				if r.Restarts-p.restarts[r.Pod+"/"+r.Container] < crashes {
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
			if r.exhausted || now.Sub(p.first[key]) >= r.Grace() {
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
func (p *grace) remember(s *Snapshot) {
	if p.restarts != nil {
		return
	}
	p.restarts, p.pulled = map[string]int32{}, map[string]time.Time{}
	for i := range s.Pods {
		pod := &s.Pods[i]
		if !pod.CreationTimestamp.Time.Before(p.started.Truncate(time.Second)) {
			continue
		}
		for _, c := range Statuses(pod) {
			p.restarts[pod.Name+"/"+c.Name] = c.RestartCount
		}
	}
}

// together reports whether the database was there from the beginning.
func (p *grace) together() bool {
	return !p.databaseReady.After(p.started.Add(2 * time.Second))
}

// afterDatabase is how long the application may still take after the database
// got ready, when Kubernetes already thinks that it took too long.
const afterDatabase = time.Minute

const crashLoop = "CrashLoopBackOff"

func (r Reason) crashed() bool { return r.ExitCode != nil }

// counts reports whether a crash is the application's own fault: of an instance
// that began when its database was there. The clocks of nodes are near enough.
func (p *grace) counts(s *Snapshot, r Reason) bool {
	if p.together() {
		return true
	}
	for i := range s.Pods {
		if s.Pods[i].Name != r.Pod {
			continue
		}
		for _, c := range Statuses(&s.Pods[i]) {
			if t := lastEnd(c); c.Name == r.Container && t != nil {
				return t.StartedAt.After(p.databaseReady)
			}
		}
	}
	return true
}
