package rollout

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"berth/internal/mask"
	"berth/internal/poll"
)

const (
	// logLines and logBytes are how much of a log is looked through.
	logLines, logBytes = 2000, 1 << 20
	// mostEvents and mostReasons keep a report on one screen.
	mostEvents  = 10
	mostReasons = 3
	// longestLine keeps a log line that is a document from filling it.
	longestLine = 500
)

// Explain returns why a rollout failed: each reason with what its container's
// log says of it and the key of berth.yaml that puts it right, and the warnings
// about the workloads since a time that say more. It must be asked before the
// pods are gone. What cannot be learned is left out.
func (r *Rollout) Explain(ctx context.Context, failed *Error, secrets []string, since time.Time) (reasons []Reason, events []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	hide := mask.Values(secrets)
	reasons = Evidence(ctx, r.Client, r.Namespace, failed.Reasons, hide)
	s, err := Take(ctx, r.Client, r.Namespace)
	if err != nil {
		return reasons, nil
	}
	for _, e := range s.warnings(r.Workloads, reasons, since) {
		events = append(events, shorten(hide(e), longestLine))
	}
	return reasons, events
}

// Evidence returns the reasons that differ in more than the pod, each with the
// lines of its container's log and the key of berth.yaml that fixes it. hide
// removes secrets. What cannot be read is left out.
func Evidence(ctx context.Context, logs Logs, namespace string, reasons []Reason, hide func(string) string) []Reason {
	reasons = alike(reasons)
	for i := range reasons {
		reason := &reasons[i]
		reason.Message = hide(reason.Message)
		if reason.Pod != "" && reason.Container != "" {
			lines := lastLines(ctx, logs, namespace, reason)
			if where := listensElsewhere(lines, reason.port); reason.refused && where != "" {
				reason.Message += "; " + where
			}
			for _, line := range excerpt(lines) {
				reason.Log = append(reason.Log, shorten(hide(line), longestLine))
			}
			if len(lines) == 0 && reason.ExitCode != nil {
				reason.Log = []string{"(it wrote nothing)"}
			}
		}
		if reason.Hint == "" {
			reason.Hint = reason.hint()
		}
	}
	return reasons
}

// alike keeps one of the reasons that differ in nothing but the pod.
func alike(reasons []Reason) []Reason {
	var kept []Reason
	for _, r := range reasons {
		same := slices.ContainsFunc(kept, func(k Reason) bool {
			return k.Container == r.Container && k.Reason == r.Reason && r.Pod != "" && k.Pod != ""
		})
		if !same && len(kept) < mostReasons {
			kept = append(kept, r)
		}
	}
	return kept
}

// lastLines returns the end of a container's log: of the instance that crashed,
// or of the one that runs when none did or its log is gone.
func lastLines(ctx context.Context, logs Logs, namespace string, r *Reason) []string {
	for range logTries {
		moved := false
		for _, previous := range []bool{r.Restarts > 0, false} {
			lines := readLog(ctx, logs, namespace, r, previous)
			if len(lines) > 0 && !strings.HasPrefix(lines[0], noLog) {
				return lines
			}
			moved = moved || len(lines) > 0
		}
		if !moved || poll.Sleep(ctx, 500*time.Millisecond) != nil {
			return nil
		}
	}
	return nil
}

// noLog is how the kubelet answers, with status 200, when it has removed the
// instance that the pod's status still names, as it does while a container
// restarts. A moment later the status names the next one.
const (
	noLog    = "unable to retrieve container logs for "
	logTries = 10
)

func readLog(ctx context.Context, logs Logs, namespace string, r *Reason, previous bool) []string {
	tail, most := int64(logLines), int64(logBytes)
	stream, err := logs.Log(ctx, namespace, r.Pod, &core.PodLogOptions{
		Container: r.Container, Previous: previous, TailLines: &tail, LimitBytes: &most,
	})
	if err != nil {
		return nil
	}
	defer stream.Close()
	var lines []string
	scanner := bufio.NewScanner(stream)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines
}

// warnings returns the warnings about workloads since a time, newest last, those
// that say the same once, and none that a reason says already.
func (s *Snapshot) warnings(ws []Workload, reasons []Reason, since time.Time) []string {
	events := slices.DeleteFunc(slices.Clone(s.events), func(e core.Event) bool {
		return e.Type != core.EventTypeWarning || eventTime(&e).Before(since.Truncate(time.Second)) ||
			!s.concerns(&e, ws) || told(&e, reasons)
	})
	slices.SortStableFunc(events, func(a, b core.Event) int { return eventTime(&a).Compare(eventTime(&b)) })
	slices.Reverse(events)
	seen := map[string]bool{}
	var texts []string
	for _, e := range events {
		text := fmt.Sprintf("%s %s: %s: %s", strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, e.Reason, strings.TrimSpace(e.Message))
		key := e.InvolvedObject.Kind + e.Reason + podSuffix.ReplaceAllString(strings.TrimPrefix(e.Message, similar), "")
		if !seen[key] && len(texts) < mostEvents {
			seen[key] = true
			texts = append(texts, text)
		}
	}
	slices.Reverse(texts)
	return texts
}

// concerns reports whether an event is about workloads, or something that is
// named after one. What else is in the namespace is another application's.
func (s *Snapshot) concerns(e *core.Event, ws []Workload) bool {
	about := e.InvolvedObject
	for _, w := range ws {
		switch about.Kind {
		case "Pod":
			present, earlier := s.PodsOf(w)
			if slices.ContainsFunc(slices.Concat(present, earlier), func(pod *core.Pod) bool { return pod.Name == about.Name }) {
				return true
			}
			// A pod that is gone is known by its name alone.
			if rest, ok := strings.CutPrefix(about.Name, w.Name+"-"); ok && podName.MatchString(rest) {
				return true
			}
		case "ReplicaSet":
			if rest, ok := strings.CutPrefix(about.Name, w.Name+"-"); ok && !strings.Contains(rest, "-") {
				return true
			}
		default:
			if about.Name == w.Name {
				return true
			}
		}
	}
	return false
}

// podName is what a pod's name has after its Deployment's or StatefulSet's.
var podName = regexp.MustCompile(`^([0-9a-z]+-[0-9a-z]+|[0-9]+)$`)

// told reports whether an event says what one of the reasons says.
func told(e *core.Event, reasons []Reason) bool {
	for _, r := range reasons {
		switch {
		case e.Reason == "BackOff" && r.ExitCode != nil, e.Reason == unhealthy && (r.Reason == unhealthy || r.ExitCode != nil),
			e.Reason == "ProbeWarning" && r.Reason == unhealthy,
			e.Reason == "FailedScheduling" && r.Reason == core.PodReasonUnschedulable,
			(e.Reason == "Failed" || e.Reason == "BackOff") && r.ExitCode == nil && r.Container != "",
			e.Reason == r.Reason && strings.TrimSpace(e.Message) == r.Message:
			return true
		}
	}
	return false
}

// podSuffix is what tells the names of one workload's pods apart, and similar
// what Kubernetes puts before a message that stands for several.
var podSuffix = regexp.MustCompile(`(-[0-9a-z]{6,10})?-[0-9a-z]{5}\b`)

const similar = "(combined from similar events): "

// shorten cuts text to a number of characters.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
