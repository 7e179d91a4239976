package session

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"berth/internal/rollout"

	batch "k8s.io/api/batch/v1"
)

// look is the time between two looks at what no event of the pod itself tells:
// that it could not be made, or that a state lasts.
const look = 2 * time.Second

// waiting waits for the pod of a Job to run, or for it being clear that it will
// not.
type waiting struct {
	client  *Client
	job     string
	detail  func(string)
	watcher watch.Interface
	pod     *core.Pod
	// first is when a trouble was first seen.
	first map[string]time.Time
}

func (w *waiting) watch(ctx context.Context) (err error) {
	w.watcher, err = w.client.kube.CoreV1().Pods(w.client.environment).Watch(ctx, metav1.ListOptions{LabelSelector: batch.JobNameLabel + "=" + w.job})
	if err != nil {
		return fmt.Errorf("watch the pod: %w", err)
	}
	return nil
}

// running returns the pod once its container runs.
func (w *waiting) running(ctx context.Context) (*core.Pod, error) {
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case event, open := <-w.watcher.ResultChan():
			if !open || event.Type == watch.Error {
				// The API server ends a watch when it likes.
				w.watcher.Stop()
				if err := w.watch(ctx); err != nil {
					return nil, err
				}
				continue
			}
			pod, ok := event.Object.(*core.Pod)
			if !ok {
				continue
			}
			w.pod = pod
			if event.Type == watch.Deleted {
				return nil, fmt.Errorf("pod %s was removed before it ran", pod.Name)
			}
			if s := pod.Status.ContainerStatuses; len(s) > 0 && s[0].State.Running != nil {
				return pod, nil
			}
		case <-again.C:
		}
		if err := w.lost(ctx); err != nil {
			return nil, err
		}
	}
}

// lost returns why the pod will not run, or nil while it still may.
func (w *waiting) lost(ctx context.Context) error {
	reasons, err := w.reasons(ctx)
	if err != nil {
		return err
	}
	for _, reason := range reasons {
		w.detail(reason.String())
		key := reason.Reason
		if _, known := w.first[key]; !known {
			w.first[key] = time.Now()
		}
		if time.Since(w.first[key]) >= reason.Grace() {
			return fmt.Errorf("the pod does not start: %s", reason)
		}
	}
	return nil
}

// reasons are what keeps the pod from running, whether it may still recover by itself
// or not.
func (w *waiting) reasons(ctx context.Context) ([]rollout.Reason, error) {
	if pod := w.pod; pod != nil {
		for _, status := range pod.Status.ContainerStatuses {
			if end := status.State.Terminated; end != nil {
				return nil, fmt.Errorf("the pod does not start: %s: %s", end.Reason, end.Message)
			}
		}
		if pod.Status.Phase == core.PodFailed {
			return nil, fmt.Errorf("the pod does not start: %s: %s", pod.Status.Reason, pod.Status.Message)
		}
		return rollout.PodReasons(pod), nil
	}
	events, err := w.client.kube.CoreV1().Events(w.client.environment).List(ctx, metav1.ListOptions{
		FieldSelector: "reason=FailedCreate,involvedObject.name=" + w.job,
	})
	if err != nil {
		return nil, fmt.Errorf("find out why there is no pod: %w", err)
	}
	var reasons []rollout.Reason
	for _, e := range events.Items {
		if e.Reason == "FailedCreate" && e.InvolvedObject.Name == w.job {
			reasons = append(reasons, rollout.Reason{Object: "job " + w.job, Reason: e.Reason, Message: e.Message})
		}
	}
	return reasons, nil
}
