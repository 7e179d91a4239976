package platform

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/progress"
)

// While Helm waits, a part's pods are watched: what will not get ready ends the
// wait, with the reason.
func TestWhatWillNotGetReadyEndsTheWait(t *testing.T) {
	pod := func(change func(*core.Pod)) *core.Pod {
		p := &core.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "logging", Name: "collector-x", Labels: map[string]string{"app.kubernetes.io/instance": "collector"},
			CreationTimestamp: metav1.NewTime(time.Now().Add(time.Hour)), // after the wait began
		}, Status: core.PodStatus{Phase: core.PodPending}}
		change(p)
		return p
	}
	status := func(s core.ContainerStatus) func(*core.Pod) {
		s.Name = "collector"
		return func(p *core.Pod) { p.Status.ContainerStatuses = []core.ContainerStatus{s} }
	}
	noImage := status(core.ContainerStatus{State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "ErrImageNeverPull", Message: "no image"}}})
	for name, test := range map[string]struct {
		pod *core.Pod
		// says is what the error says; empty where apply comes to its end.
		says string
	}{
		"a reason that does not pass": {pod(noImage), "pod collector-x, container collector: ErrImageNeverPull: no image"},
		"one that may pass, until nothing changes": {pod(status(core.ContainerStatus{
			State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "denied"}},
		})), "collector-x: ImagePullBackOff: denied, and nothing has changed"},
		"nothing changes": {pod(status(core.ContainerStatus{
			State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "ContainerCreating"}},
		})), "collector-x: ContainerCreating, and nothing has changed"},
		"a crash, which may be for what is still to come": {pod(status(core.ContainerStatus{
			RestartCount: 3, LastTerminationState: core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}},
		})), "collector-x: CrashLoopBackOff, and nothing has changed"},
		"an old pod's reason is not the change's": {pod(func(p *core.Pod) {
			noImage(p)
			p.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
		}), "collector-x: ErrImageNeverPull: no image, and nothing has changed"},
		"another release's": {pod(func(p *core.Pod) { noImage(p); p.Labels["app.kubernetes.io/instance"] = "other" }), "not ready, and nothing has changed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := waiting{fake.NewClientset(test.pod), "logging", "collector", 5 * time.Millisecond, 200 * time.Millisecond}
			err := w.during(t.Context(), progress.Discard.Step(""), func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

// A part that gets on, however slowly, is waited for; what Helm itself finds out
// stands; and who gives up is not told a reason.
func TestWhatGetsOnIsWaitedFor(t *testing.T) {
	client := fake.NewClientset()
	w := waiting{client, "logging", "collector", 5 * time.Millisecond, 300 * time.Millisecond}
	slowly := func(ctx context.Context) error {
		pods := client.CoreV1().Pods("logging")
		p := &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: "collector-x", Labels: map[string]string{"app.kubernetes.io/instance": "collector"}}}
		if _, err := pods.Create(ctx, p, metav1.CreateOptions{}); err != nil {
			return err
		}
		for _, address := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"} { // anything that changes
			time.Sleep(150 * time.Millisecond)
			p.Status.PodIP = address
			if _, err := pods.UpdateStatus(ctx, p, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	if err := w.during(t.Context(), progress.Discard.Step(""), slowly); err != nil {
		t.Error(err)
	}
	// Nothing of a pod changes while its image is fetched.
	fetched := fake.NewClientset(&core.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "logging", Name: "collector-x", UID: "x", Labels: map[string]string{"app.kubernetes.io/instance": "collector"}},
		Status: core.PodStatus{ContainerStatuses: []core.ContainerStatus{{
			Name: "collector", State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "ContainerCreating"}}}}},
	}, &core.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "logging", Name: "pulling"}, Reason: "Pulling", LastTimestamp: metav1.Now(),
		InvolvedObject: core.ObjectReference{UID: "x", FieldPath: "spec.containers{collector}"},
	})
	fetching := waiting{fetched, "logging", "collector", 5 * time.Millisecond, 100 * time.Millisecond}
	if err := fetching.during(t.Context(), progress.Discard.Step(""), func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(400 * time.Millisecond):
			return nil
		}
	}); err != nil {
		t.Error(err)
	}
	refused := errors.New("the API server refused it")
	if err := w.during(t.Context(), progress.Discard.Step(""), func(context.Context) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.during(ctx, progress.Discard.Step(""), func(ctx context.Context) error { return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
