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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/kube"
)

const (
	// logLines is how much of a crashed container's log is shown.
	logLines = 10
	// mostEvents and mostReasons keep a report on one screen.
	mostEvents  = 10
	mostReasons = 3
	// longestLine keeps a log line that is a document from filling it.
	longestLine = 500
)

// Explain returns why a rollout failed, each reason with the end of its
// container's log, and the namespace's warnings since a time. It must be asked
// before the pods are gone. What cannot be learned is left out.
func Explain(ctx context.Context, client kubernetes.Interface, namespace string, failed *Error, secrets []string, since time.Time) (reasons []Reason, events []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	reasons = alike(failed.Reasons)
	mask := masker(secrets)
	for i := range reasons {
		r := &reasons[i]
		r.Message = mask(r.Message)
		if r.Pod != "" && r.Container != "" {
			for _, line := range lastLines(ctx, client, namespace, r) {
				r.Log = append(r.Log, shorten(mask(line), longestLine))
			}
		}
	}
	for _, e := range warnings(ctx, client, namespace, since) {
		events = append(events, shorten(mask(e), longestLine))
	}
	return reasons, events
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
func lastLines(ctx context.Context, client kubernetes.Interface, namespace string, r *Reason) []string {
	for range logTries {
		moved := false
		for _, previous := range []bool{r.Restarts > 0, false} {
			lines := readLog(ctx, client, namespace, r, previous)
			if len(lines) > 0 && !strings.HasPrefix(lines[0], noLog) {
				return lines
			}
			moved = moved || len(lines) > 0
		}
		if !moved || kube.Sleep(ctx, 500*time.Millisecond) != nil {
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

func readLog(ctx context.Context, client kubernetes.Interface, namespace string, r *Reason, previous bool) []string {
	tail := int64(logLines)
	stream, err := client.CoreV1().Pods(namespace).GetLogs(r.Pod, &core.PodLogOptions{
		Container: r.Container, Previous: previous, TailLines: &tail,
	}).Stream(ctx)
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

// warnings returns the namespace's warnings since a time, newest last, those
// that say the same once.
func warnings(ctx context.Context, client kubernetes.Interface, namespace string, since time.Time) []string {
	found, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil {
		return nil
	}
	events := slices.DeleteFunc(found.Items, func(e core.Event) bool {
		return e.Type != core.EventTypeWarning || eventTime(&e).Before(since.Truncate(time.Second))
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

// podSuffix is what tells the names of one workload's pods apart, and similar
// what Kubernetes puts before a message that stands for several.
var podSuffix = regexp.MustCompile(`(-[0-9a-z]{6,10})?-[0-9a-z]{5}\b`)

const similar = "(combined from similar events): "

// eventTime is when an event last happened. Reporters use one field or another.
func eventTime(e *core.Event) time.Time {
	latest := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.FirstTimestamp.Time, e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(latest) {
			latest = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(latest) {
		latest = e.Series.LastObservedTime.Time
	}
	return latest
}

// shorten cuts text to a number of characters.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
