package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"berth/internal/rollout"
)

const (
	// shortLived is how long an instance lives at most that is one of a crash
	// loop: one that ran for an hour and ended once is an accident.
	shortLived = 2 * time.Minute
	// memoryWindow is how long a kill by the memory limit is reported.
	memoryWindow = 10 * time.Minute
	// usualStart is how long a pod without probes may take to get ready.
	usualStart = time.Minute
	// pullTime is how long its image may take to arrive.
	pullTime = 5 * time.Minute
	// afterDatabase is how long the application may take to find its database
	// again.
	afterDatabase = 5 * time.Second
)

const (
	crashLoop = "CrashLoopBackOff"
	outOfMem  = "OOMKilled"
	notReady  = "NotReady"
	unhealthy = "Unhealthy"
)

// judgeWorkloads looks at what is to run all the time. All that is wrong with one
// workload has one key: it is told once, with the reason that was there first.
func judgeWorkloads(w *World) []Problem {
	var all []Problem
	databases := map[string]bool{}
	for _, l := range w.Workloads {
		p, ok := judgeWorkload(w, l)
		if !ok {
			continue
		}
		if l.Kind == "StatefulSet" {
			databases[l.Namespace] = true
		}
		all = append(all, p)
	}
	// What waits for its database suffers of the same cause.
	return slices.DeleteFunc(all, func(p Problem) bool {
		follows := p.Kind == crashLoop || p.Kind == notReady || p.Kind == unhealthy
		return databases[p.Namespace] && follows && strings.HasPrefix(p.Key, p.Namespace+"/deployment/")
	})
}

func judgeWorkload(w *World, l Workload) (Problem, bool) {
	p := Problem{Key: l.Namespace + "/" + strings.ToLower(l.Kind) + "/" + l.Name, Namespace: l.Namespace}
	pods := w.podsOf(l)
	serving := fmt.Sprintf("%d of %d pods ready", l.Ready, l.Want)
	if l.Ready < l.Want {
		reasons, lost := whyNot(w, l, pods)
		switch {
		case len(reasons) > 0:
			p.Reasons, p.Kind = reasons, kindOf(reasons[0])
			p.Title, p.Detail = l.Name+" "+means(p.Kind), serving
			return p, true
		case lost:
			return p, false // the node's problem
		case l.Failure != "" && len(pods) < l.Want:
			p.Kind, p.Title = cmp.Or(l.FailureReason, "FailedCreate"), l.Name+" gets no pods"
			p.Detail = serving + ": " + l.Failure
			return p, true
		}
	}
	if reasons := endedByNode(w, pods); len(reasons) > 0 {
		p.Kind, p.Reasons, p.Detail = reasons[0].Reason, reasons, serving
		p.Title = fmt.Sprintf("%d pods of %s were ended by their node", len(reasons), l.Name)
		return p, true
	}
	if reasons := killedForMemory(w, pods); len(reasons) > 0 {
		p.Kind, p.Reasons, p.Detail = outOfMem, reasons, serving
		p.Title = l.Name + " ran out of memory and was killed"
		return p, true
	}
	return p, false
}

// whyNot returns what keeps pods from being ready, and whether some are lost with
// their node.
func whyNot(w *World, l Workload, pods []*core.Pod) (reasons []rollout.Reason, lost bool) {
	anyGone := len(w.gone()) > 0
	for _, pod := range pods {
		switch {
		case w.onGoneNode(pod):
			lost = true
			continue
		case rollout.Ready(pod) || pod.Status.Phase == core.PodFailed || pod.Status.Phase == core.PodSucceeded:
			continue
		}
		events := w.eventsOf("Pod", pod.Namespace, pod.Name)
		found, known := rollout.Diagnose(pod, events, w.Now)
		hindered := ""
		if !known {
			hindered = hindrance(events)
		}
		for _, r := range found {
			if r.Message == "" {
				r.Message = hindered
			}
			switch {
			case anyGone && r.Reason == core.PodReasonUnschedulable:
				lost = true
			case r.ExitCode != nil && !looping(pod, r.Container):
			case r.ExitCode != nil && l.Kind == "Deployment" && !countsAfter(pod, r.Container, w.databaseSince(l.Namespace)):
			case (!known || r.Reason == unhealthy) && starting(pod, hindered != "", w.Now):
			default:
				reasons = append(reasons, r)
			}
		}
	}
	return reasons, lost
}

// looping reports whether a container ends again and again, soon after it began.
func looping(pod *core.Pod, container string) bool {
	for _, c := range rollout.Statuses(pod) {
		if c.Name != container {
			continue
		}
		end := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated)
		return c.State.Waiting != nil && c.State.Waiting.Reason == crashLoop ||
			end != nil && end.FinishedAt.Sub(end.StartedAt.Time) < shortLived
	}
	return false
}

// countsAfter reports whether the instance that ended last began after a time.
func countsAfter(pod *core.Pod, container string, since time.Time) bool {
	for _, c := range rollout.Statuses(pod) {
		if end := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated); c.Name == container && end != nil {
			return end.StartedAt.After(since)
		}
	}
	return true
}

// databaseSince is since when all StatefulSets of a namespace are ready, with
// time for others to find them; zero where there are none.
func (w *World) databaseSince(namespace string) (since time.Time) {
	for _, pod := range w.Pods {
		if kind, _ := ownerOf(pod); kind != "StatefulSet" || pod.Namespace != namespace {
			continue
		}
		if c := podCondition(pod, core.PodReady); c != nil && c.LastTransitionTime.Add(afterDatabase).After(since) {
			since = c.LastTransitionTime.Add(afterDatabase)
		}
	}
	return since
}

// starting reports whether a pod may still take time to get ready. One that was
// ready since its containers began is not starting: it has lost it.
// Hindered says that something keeps its containers from being made.
func starting(pod *core.Pod, hindered bool, now time.Time) bool {
	began, patience := pod.CreationTimestamp.Time, max(usualStart, rollout.StartTime(pod))
	running := false
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Running != nil:
			running = true
			began = later(began, c.State.Running.StartedAt.Time)
		case c.State.Waiting != nil && !hindered && creating[c.State.Waiting.Reason]:
			patience = max(patience, pullTime)
		}
	}
	if c := podCondition(pod, core.PodReady); running && c != nil && c.LastTransitionTime.After(began.Add(time.Second)) {
		return false
	}
	return now.Sub(began) < patience
}

// hindrances are the events of a pod whose containers cannot be made, and
// hindrance what the newest of them says.
var hindrances = map[string]bool{"FailedMount": true, "FailedAttachVolume": true, "FailedCreatePodSandBox": true}

func hindrance(events []core.Event) (message string) {
	var newest time.Time
	for _, e := range events {
		if at := later(e.LastTimestamp.Time, e.EventTime.Time); hindrances[e.Reason] && !at.Before(newest) {
			newest, message = at, e.Reason+": "+e.Message
		}
	}
	return message
}

// creating are the reasons of containers whose image is on its way, or whose pod
// is only being made.
var creating = map[string]bool{"ContainerCreating": true, "PodInitializing": true}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func podCondition(pod *core.Pod, kind core.PodConditionType) *core.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// killedForMemory returns the containers that were killed lately, also those that
// run again.
func killedForMemory(w *World, pods []*core.Pod) []rollout.Reason {
	var reasons []rollout.Reason
	for _, pod := range pods {
		for _, c := range rollout.Statuses(pod) {
			end := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated)
			if end == nil || end.Reason != outOfMem || w.Now.Sub(end.FinishedAt.Time) > memoryWindow {
				continue
			}
			r := rollout.Reason{Object: "pod " + pod.Name, Pod: pod.Name, Node: pod.Spec.NodeName, Container: c.Name,
				Reason: outOfMem, ExitCode: &end.ExitCode, Restarts: c.RestartCount}
			for _, spec := range pod.Spec.Containers {
				if limit, some := spec.Resources.Limits[core.ResourceMemory]; spec.Name == c.Name && some {
					r.Message = "it took more memory than its limit of " + limit.String()
				}
			}
			reasons = append(reasons, r)
		}
	}
	return reasons
}

// endedByNode returns the pods that their node has lately ended or refused, as it evicts
// those that take more of its disk than they may. One that is replaced is no problem,
// and told only if another one goes the same way.
func endedByNode(w *World, pods []*core.Pod) []rollout.Reason {
	var reasons []rollout.Reason
	for _, pod := range pods {
		at := pod.CreationTimestamp.Time
		for _, kind := range []core.PodConditionType{core.DisruptionTarget, core.PodReady} {
			if c := podCondition(pod, kind); c != nil {
				at = later(at, c.LastTransitionTime.Time)
			}
		}
		if pod.Status.Phase != core.PodFailed || pod.Status.Reason == "" || w.onGoneNode(pod) || w.Now.Sub(at) > memoryWindow {
			continue
		}
		reasons = append(reasons, rollout.Reason{Object: "pod " + pod.Name, Pod: pod.Name, Node: pod.Spec.NodeName, Reason: pod.Status.Reason, Message: pod.Status.Message})
	}
	if len(reasons) < 2 || slices.ContainsFunc(reasons, func(r rollout.Reason) bool {
		return r.Reason == "Terminated" || r.Reason == "NodeShutdown" || r.Reason == "Shutdown"
	}) {
		return nil // a node that is switched off ends all of its pods
	}
	return reasons
}

// kindOf is what a reason is called in a problem: a pull that fails and the pause
// after it take turns.
func kindOf(r rollout.Reason) string {
	if r.Reason == "ErrImagePull" {
		return "ImagePullBackOff"
	}
	return r.Reason
}

// means says what a kind means for a workload.
func means(kind string) string {
	switch kind {
	case crashLoop:
		return "is in a crash loop"
	case outOfMem:
		return "runs out of memory and is killed, again and again"
	case "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError":
		return "cannot get its image"
	case core.PodReasonUnschedulable:
		return "finds no node"
	case unhealthy, notReady:
		return "is not ready"
	case "CreateContainerConfigError", "CreateContainerError", "StartError", "ContainerCannotRun", "RunContainerError":
		return "cannot be started"
	}
	return "does not serve"
}
