package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/rollout"
)

const (
	// readyTimeout is how long a part of the platform may stand still before it
	// counts as one that does not get ready.
	readyTimeout = 3 * time.Minute
	// mostTime bounds the wait in all. A slow machine needs much of it.
	mostTime = 30 * time.Minute
	// crashTime is how long a container may crash again and again: what it needs
	// may still be coming up.
	crashTime = 90 * time.Second
)

// waiting watches the pods of a Helm release while Helm waits for them, which
// knows a time limit alone and no reasons.
type waiting struct {
	client             kubernetes.Interface
	namespace, release string
	// poll is the time between two looks, still how long nothing may change.
	poll, still time.Duration
}

// during calls apply. The context that it gets ends when the release's pods will
// not get ready: for a reason that does not pass, or as nothing has changed for
// a while. The error then says so.
func (w waiting) during(ctx context.Context, step progress.Step, apply func(context.Context) error) error {
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.watch(watched, step); err != nil {
			cancel(err)
		}
	}()
	err := apply(watched)
	cause := context.Cause(watched)
	cancel(nil)
	<-ended
	if err != nil && cause != nil && ctx.Err() == nil {
		return cause
	}
	return err
}

// watch returns why the pods will not get ready, or nil at ctx's end.
func (w waiting) watch(ctx context.Context, step progress.Step) error {
	began := time.Now().Truncate(time.Second) // as Kubernetes counts
	first := map[string]time.Time{}           // when a reason was first seen
	last, changed := "", time.Now()
	for poll.Sleep(ctx, w.poll) == nil {
		pods, err := w.client.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + w.release})
		if err != nil {
			continue // an API server that is away comes back, and Helm tells of one that does not
		}
		now := time.Now()
		if state := states(pods.Items); state != last {
			last, changed = state, now
		}
		reasons := lasting(pods.Items, began, now, first)
		if len(reasons) > 0 {
			return &rollout.Error{Reasons: reasons}
		}
		missing := unready(pods.Items)
		if w.pulling(ctx, pods.Items) {
			missing, changed = append(missing, "an image is being pulled"), now
		}
		if len(missing) > 0 {
			step.Detail(strings.Join(missing, ", "))
		}
		if now.Sub(changed) > w.still {
			return standing(missing, w.still)
		}
	}
	return nil
}

// pulling reports whether an image is being fetched for one of the pods. Who may not
// read events does not learn of it.
func (w waiting) pulling(ctx context.Context, pods []core.Pod) bool {
	events, err := w.client.CoreV1().Events(w.namespace).List(ctx, metav1.ListOptions{})
	return err == nil && slices.ContainsFunc(pods, func(pod core.Pod) bool { return rollout.Pulling(&pod, events.Items) })
}

// lasting are the reasons, of pods that were made since the wait began, which
// have lasted so long that they will not pass. A pod that is older may be what
// the change replaces.
func lasting(pods []core.Pod, began, now time.Time, first map[string]time.Time) []rollout.Reason {
	var reasons []rollout.Reason
	seen := map[string]bool{}
	for i := range pods {
		if pods[i].CreationTimestamp.Time.Before(began) || pods[i].DeletionTimestamp != nil {
			continue
		}
		for _, reason := range rollout.PodReasons(&pods[i]) {
			if reason.Reason == core.PodReasonUnschedulable {
				continue // a node may be coming; standing still tells of it
			}
			grace := reason.Grace()
			if reason.ExitCode != nil {
				grace = crashTime
			}
			// A pull that fails and the pause after it take turns.
			key := reason.Object + "/" + reason.Container + "/" + strings.Replace(reason.Reason, "ErrImagePull", "ImagePullBackOff", 1)
			seen[key] = true
			if first[key].IsZero() {
				first[key] = now
			}
			if now.Sub(first[key]) >= grace {
				reasons = append(reasons, reason)
			}
		}
	}
	for key := range first {
		if !seen[key] {
			delete(first, key)
		}
	}
	return reasons
}

// states is a text that changes whenever a pod gets on.
func states(pods []core.Pod) string {
	var all []string
	for _, pod := range pods {
		state := fmt.Sprint(pod.UID, pod.Spec.NodeName, pod.Status.Phase, pod.DeletionTimestamp != nil, pod.Status.PodIP)
		for _, c := range rollout.Statuses(&pod) {
			state += fmt.Sprint(c.Name, c.Ready, c.Started != nil && *c.Started, c.State.Running != nil, c.State.Terminated != nil)
		}
		all = append(all, state)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// unready says of each pod that is not ready what it waits for.
func unready(pods []core.Pod) []string {
	var missing []string
	for i := range pods {
		pod := &pods[i]
		if rollout.Ready(pod) || pod.DeletionTimestamp != nil || pod.Status.Phase == core.PodSucceeded {
			continue
		}
		missing = append(missing, pod.Name+": "+waitsFor(pod))
	}
	slices.Sort(missing)
	return missing
}

func waitsFor(pod *core.Pod) string {
	if reasons := rollout.PodReasons(pod); len(reasons) > 0 {
		return strings.TrimSuffix(reasons[0].Reason+": "+reasons[0].Message, ": ")
	}
	for _, c := range rollout.Statuses(pod) {
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			return c.State.Waiting.Reason
		}
	}
	if pod.Status.Phase == core.PodRunning {
		return "runs, and is not ready"
	}
	return strings.ToLower(string(pod.Status.Phase))
}

func standing(missing []string, still time.Duration) error {
	if len(missing) == 0 {
		return fmt.Errorf("not ready, and nothing has changed for %s", still)
	}
	return errors.New(strings.Join(missing, ", ") + fmt.Sprintf(", and nothing has changed for %s", still))
}
