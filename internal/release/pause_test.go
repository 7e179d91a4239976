package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"berth/internal/kube"
	"berth/internal/progress"
)

// scales lets the world do what a cluster does when a Deployment is scaled.
func (w *world) scales() {
	pods := core.SchemeGroupVersion.WithResource("pods")
	w.clientset.PrependReactor("patch", "deployments", func(action clienttesting.Action) (bool, runtime.Object, error) {
		handled, object, err := clienttesting.ObjectReaction(w.clientset.Tracker())(action)
		if err != nil {
			return handled, object, err
		}
		// The clientset is locked while it reacts, so this goes by its tracker.
		text := string(action.(clienttesting.PatchAction).GetPatch())
		for i := range 2 {
			name := fmt.Sprintf("shop-good-1-%d", i)
			switch {
			case strings.Contains(text, `"replicas":0`):
				w.try(w.clientset.Tracker().Delete(pods, "production", name))
			case strings.Contains(text, `"replicas":2`):
				pod := &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "production",
					OwnerReferences: controlledBy("ReplicaSet", "shop-good-1", "shop-good-1")}}
				pod.Status.Conditions = []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}
				w.put(pods, pod)
			}
		}
		return handled, object, err
	})
}

// paused returns the replicas of the world's Deployment, its pods, and whether
// it is noted as paused.
func (w *world) paused() (replicas int32, pods int, noted bool) {
	d, err := w.clientset.AppsV1().Deployments("production").Get(context.Background(), "shop", metav1.GetOptions{})
	w.try(err)
	list, err := w.clientset.CoreV1().Pods("production").List(context.Background(), metav1.ListOptions{})
	w.try(err)
	_, noted = d.Annotations[pausedAnnotation]
	return *d.Spec.Replicas, len(list.Items), noted
}

func TestNobodyServesDuringAPause(t *testing.T) {
	w, c := newWorld(t)
	w.scales()
	mustDeploy(t, c, "good:1")
	outage, err := c.Pause(context.Background(), "production", progress.Discard, func(ctx context.Context) error {
		if replicas, pods, noted := w.paused(); replicas != 0 || pods != 0 || !noted {
			t.Errorf("during the pause there are %d replicas and %d pods, noted: %v", replicas, pods, noted)
		}
		if _, err := c.Deploy(ctx, "production", "good:2", progress.Discard); !errors.Is(err, kube.ErrLocked) {
			t.Errorf("a deploy during the pause: %v", err)
		}
		return nil
	})
	if err != nil || outage <= 0 {
		t.Errorf("out for %s: %v", outage, err)
	}
	if replicas, pods, noted := w.paused(); replicas != 2 || pods != 2 || noted {
		t.Errorf("after the pause there are %d replicas and %d pods, noted: %v", replicas, pods, noted)
	}
}

func TestWhatFailsDuringAPauseLeavesAnApplicationThatServes(t *testing.T) {
	w, c := newWorld(t)
	w.scales()
	mustDeploy(t, c, "good:1")
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(context.Background())
	_, err := c.Pause(ctx, "production", progress.Discard, func(context.Context) error {
		cancel() // and an interrupt on top of it
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if replicas, pods, noted := w.paused(); replicas != 2 || pods != 2 || noted {
		t.Errorf("there are %d replicas and %d pods, noted: %v", replicas, pods, noted)
	}
}

// A berth that was killed during a pause leaves an application that is stopped.
// The next command starts it.
func TestADeployEndsAPauseThatWasKilled(t *testing.T) {
	w, c := newWorld(t)
	w.scales()
	mustDeploy(t, c, "good:1")
	d, err := w.clientset.AppsV1().Deployments("production").Get(context.Background(), "shop", metav1.GetOptions{})
	w.try(err)
	w.try(c.setReplicas(context.Background(), d, 0, "2"))
	mustDeploy(t, c, "good:1")
	if replicas, pods, noted := w.paused(); replicas != 2 || pods != 2 || noted {
		t.Errorf("there are %d replicas and %d pods, noted: %v", replicas, pods, noted)
	}
}

func TestWhatIsNotDeployedCannotBePaused(t *testing.T) {
	_, c := newWorld(t)
	_, err := c.Pause(context.Background(), "production", progress.Discard, func(context.Context) error { return nil })
	if !errors.Is(err, ErrNotDeployed) {
		t.Errorf("got %v", err)
	}
}

// A cron job that would write to the database waits too, and one that nobody
// paused is left alone.
func TestCronJobsWaitDuringAPause(t *testing.T) {
	w, c := newShop(t)
	mustDeploy(t, c, "good:1")
	for name, application := range map[string]string{"shop-nightly": "shop", "other-nightly": "other"} {
		w.put(batch.SchemeGroupVersion.WithResource("cronjobs"), &batch.CronJob{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "production",
			Labels: map[string]string{"app.kubernetes.io/name": application, "app.kubernetes.io/instance": application},
		}})
	}
	suspended := func(name string) bool {
		job, err := w.clientset.BatchV1().CronJobs("production").Get(t.Context(), name, metav1.GetOptions{})
		w.try(err)
		return job.Spec.Suspend != nil && *job.Spec.Suspend
	}
	for _, pause := range []bool{true, false} {
		w.try(c.suspend(t.Context(), "production", pause))
		if suspended("shop-nightly") != pause || suspended("other-nightly") {
			t.Errorf("paused %v: the application's is suspended: %v, another's: %v", pause, suspended("shop-nightly"), suspended("other-nightly"))
		}
	}
}
