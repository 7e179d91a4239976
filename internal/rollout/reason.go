package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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

	// Hint says which key of berth.yaml puts it right, where that is known.
	Hint string `json:"hint,omitempty"`

	// Pod is its name; empty when it is about none.
	Pod string `json:"-"`

	// passing says that it may pass while there are chances left to start,
	// exhausted that the last one is over, refused that nothing listens on the
	// port.
	passing, exhausted, refused bool
	port                        string
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

// final are the waiting reasons of a container that end a rollout.
var final = map[string]bool{
	"ErrImageNeverPull": true, "InvalidImageName": true, "ErrImagePull": true, "ImagePullBackOff": true, "ImageInspectError": true,
	"CreateContainerConfigError": true, "CreateContainerError": true,
}

// PodReasons returns what keeps a pod from running.
func PodReasons(pod *core.Pod) []Reason {
	about := Reason{Object: "pod " + pod.Name, Node: pod.Spec.NodeName, Pod: pod.Name}
	for _, c := range pod.Status.Conditions {
		if c.Type == core.PodScheduled && c.Status == core.ConditionFalse && c.Reason == core.PodReasonUnschedulable {
			about.Reason, about.Message = c.Reason, c.Message
			return []Reason{about}
		}
	}
	if pod.Status.Phase == core.PodFailed && pod.Status.Reason != "" {
		// As by a node that ran out of something.
		about.Reason, about.Message = pod.Status.Reason, pod.Status.Message
		return []Reason{about}
	}
	var reasons []Reason
	for _, c := range Statuses(pod) {
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
		if limit := memoryLimit(pod, c.Name); end.Reason == "OOMKilled" && limit != "" {
			r.Message = "it took more memory than its limit of " + limit
		}
		r.ExitCode, r.Signal, r.Message = &code, end.Signal, cmp.Or(strings.TrimSpace(end.Message), r.Message)
		// "Error" says less than that it happens again and again; "OOMKilled"
		// and "ContainerCannotRun" say more.
		if r.Reason = end.Reason; r.Reason == "Error" || r.Reason == "Completed" || r.Reason == "" {
			r.Reason = crashLoop
		}
		reasons = append(reasons, r)
	}
	return reasons
}

// memoryLimit is the most that a container may use, or "".
func memoryLimit(pod *core.Pod, name string) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if limit, some := c.Resources.Limits[core.ResourceMemory]; c.Name == name && some {
			return limit.String()
		}
	}
	return ""
}

// Statuses returns a pod's containers, those that run first at the beginning.
func Statuses(pod *core.Pod) []core.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

// lastEnd is how a container last ended, or nil when it never did.
func lastEnd(c core.ContainerStatus) *core.ContainerStateTerminated {
	return cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated)
}

// unready tells of the containers of a pod that run, or wait, without ever
// getting ready.
func unready(pod *core.Pod) []Reason {
	var reasons []Reason
	for _, c := range Statuses(pod) {
		r := Reason{Object: "pod " + pod.Name, Node: pod.Spec.NodeName, Pod: pod.Name,
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
		reasons = []Reason{{Object: "pod " + pod.Name, Node: pod.Spec.NodeName, Pod: pod.Name,
			Reason: cmp.Or(pod.Status.Reason, string(pod.Status.Phase)), Message: pod.Status.Message}}
	}
	return reasons
}
