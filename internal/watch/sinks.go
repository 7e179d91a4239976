package watch

import (
	"context"
	"net"
	"net/http"
	"time"

	core "k8s.io/api/core/v1"
)

// agentStatus is what a log agent answers; docs/logs.md has all of it.
type agentStatus struct {
	Sinks []struct {
		Name, State, Answer string
		Dropped, Rejected   int64
	}
}

// lineCount is how many lines a sink of an agent has lost.
type lineCount struct {
	last, lost int64
	at         time.Time
}

func (l *looks) lookAtSinks(ctx context.Context, w *World) {
	client := &http.Client{Timeout: 5 * time.Second}
	var found []Sink
	for _, pod := range w.Pods {
		kind, name := ownerOf(pod)
		if kind != "DaemonSet" || pod.Namespace != "logging" || name != "collector" || pod.Status.PodIP == "" ||
			pod.Status.Phase != core.PodRunning || pod.DeletionTimestamp != nil || w.onGoneNode(pod) {
			continue
		}
		ready := podCondition(pod, core.PodReady)
		if ready == nil || ready.Status != core.ConditionTrue {
			continue // the workload's problem
		}
		var s agentStatus
		if err := get(ctx, client, "http://"+net.JoinHostPort(pod.Status.PodIP, agentPort)+"/status", &s); err != nil {
			if ctx.Err() == nil {
				found = append(found, Sink{Node: pod.Spec.NodeName, Name: "agent", Agent: true, Answer: err.Error()})
			}
			continue
		}
		for _, sink := range s.Sinks {
			name := sinkNames[sink.Name]
			if name == "" {
				name = sink.Name
			}
			found = append(found, Sink{Node: pod.Spec.NodeName, Name: name, Failing: sink.State == "failing", Answer: sink.Answer,
				Lost: l.lost(pod.Spec.NodeName+"/"+sink.Name, sink.Dropped+sink.Rejected, w.Now)})
		}
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.sinks = found
}

// lost returns how many lines were lost lately, from a counter that begins again
// with its agent.
func (l *looks) lost(key string, total int64, now time.Time) int64 {
	count := l.lines[key]
	if count == nil {
		l.lines[key] = &lineCount{last: total}
		return 0
	}
	more := total - count.last
	if more < 0 {
		more = total
	}
	count.last = total
	if now.Sub(count.at) > lostWindow {
		count.lost = 0
	}
	if more > 0 {
		count.lost, count.at = count.lost+more, now
	}
	return count.lost
}
