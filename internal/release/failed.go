package release

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Failed is the error of a deploy or rollback that did not end in a serving
// revision: why, and what serves now.
type Failed struct {
	Environment string `json:"environment"`
	// Revision is the one that failed.
	Revision int    `json:"revision"`
	Image    string `json:"image"`
	// Reasons say why; empty when it was no pod's fault, as when the caller
	// gave up. Then Cause says it alone.
	Reasons []Reason `json:"reasons,omitempty"`
	// Events are the warnings about the pods, newest last.
	Events []string `json:"events,omitempty"`
	Cause  error    `json:"-"`
	// Back is the revision that was made of the last good one and serves now;
	// zero when there was none, or when Stuck says why it does not serve.
	Back int `json:"back,omitempty"`
	// To is the revision that was gone back to.
	To    int   `json:"to,omitempty"`
	Stuck error `json:"-"`
}

// Error says in one line what failed and what serves now.
func (f *Failed) Error() string {
	return fmt.Sprintf("revision %d of %s failed: %s; %s", f.Revision, f.Environment, f.why(), f.Now())
}

// why is the first reason in a few words.
func (f *Failed) why() string {
	if len(f.Reasons) == 0 {
		if errors.Is(f.Cause, context.Canceled) {
			return "interrupted before it served"
		}
		return f.Cause.Error()
	}
	text := f.Reasons[0].String()
	if more := len(f.Reasons) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// Now says what serves since.
func (f *Failed) Now() string {
	switch {
	case f.Stuck != nil:
		return fmt.Sprintf("going back to revision %d failed too: %s", f.To, f.Stuck)
	case f.Back != 0:
		return fmt.Sprintf("revision %d serves again (as revision %d)", f.To, f.Back)
	default:
		return "nothing served before, so it is left as it is; deploy again when it is mended"
	}
}

// Report is the whole story in lines: each reason with the end of its
// container's log, the events, and what serves now.
func (f *Failed) Report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "revision %d (%s) of %s does not serve\n", f.Revision, f.Image, f.Environment)
	if len(f.Reasons) == 0 {
		fmt.Fprintf(&b, "\n%s\n", f.why())
	}
	for _, r := range f.Reasons {
		fmt.Fprintf(&b, "\n%s\n", r)
		for _, line := range r.Log {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	if len(f.Events) > 0 {
		b.WriteString("\nevents:\n")
		for _, e := range f.Events {
			fmt.Fprintf(&b, "    %s\n", e)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", f.Now())
	return b.String()
}

func (f *Failed) Unwrap() []error {
	var all []error
	for _, err := range []error{f.Cause, f.Stuck} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

const (
	// logLines is how much of a crashed container's log is shown.
	logLines = 10
	// mostEvents and mostReasons keep a report on one screen.
	mostEvents  = 10
	mostReasons = 3
	// longestLine keeps a log line that is a document from filling it.
	longestLine = 500
)

// explain fills in why a rollout failed: it must be asked before the pods are
// gone. What cannot be learned is left out; it is the error that matters.
func (f *Failed) explain(ctx context.Context, client kubernetes.Interface, secrets []string, since time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	var lost *trouble
	if errors.As(f.Cause, &lost) {
		f.Reasons = alike(lost.reasons)
	}
	mask := masker(secrets)
	for i := range f.Reasons {
		r := &f.Reasons[i]
		r.Message = mask(r.Message)
		if r.pod != "" && r.Container != "" {
			for _, line := range lastLines(ctx, client, f.Environment, r) {
				r.Log = append(r.Log, shorten(mask(line), longestLine))
			}
		}
	}
	if len(f.Reasons) > 0 {
		for _, e := range warnings(ctx, client, f.Environment, since) {
			f.Events = append(f.Events, shorten(mask(e), longestLine))
		}
		f.Cause = &trouble{f.Reasons}
	}
}

// alike keeps one of the reasons that differ in nothing but the pod.
func alike(reasons []Reason) []Reason {
	var kept []Reason
	for _, r := range reasons {
		same := slices.ContainsFunc(kept, func(k Reason) bool {
			return k.Container == r.Container && k.Reason == r.Reason && r.pod != "" && k.pod != ""
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
		if !moved || sleep(ctx, 500*time.Millisecond) != nil {
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
	stream, err := client.CoreV1().Pods(namespace).GetLogs(r.pod, &core.PodLogOptions{
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
