package release

import (
	"context"
	"errors"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"berth/internal/fault"
	"berth/internal/progress"
)

// rolls lets the world do what a cluster does when a Deployment's template
// changes: the pods of one that was restarted are of the image that is named.
// It returns the marks of the templates that there were, "" for none.
func (w *world) rolls(restarted string) (marks func() []string) {
	var seen []string
	done := make(chan struct{}, 10)
	w.clientset.PrependReactor("patch", "deployments", func(action clienttesting.Action) (bool, runtime.Object, error) {
		handled, object, err := clienttesting.ObjectReaction(w.clientset.Tracker())(action)
		if err != nil {
			return handled, object, err
		}
		// Until the controller has seen the new template nothing counts.
		d := object.(*apps.Deployment).DeepCopy()
		d.Generation = d.Status.ObservedGeneration + 1
		w.put(apps.SchemeGroupVersion.WithResource("deployments"), d)
		mark := d.Spec.Template.Annotations[restartedAnnotation]
		next := d.DeepCopy()
		next.Spec.Template.Spec.Containers[0].Image = "good:1"
		if mark != "" {
			next.Spec.Template.Spec.Containers[0].Image = restarted
		}
		// The clientset is locked while it reacts.
		go func() {
			w.roll(next)
			seen = append(seen, mark)
			done <- struct{}{}
		}()
		return handled, object, err
	})
	return func() []string {
		<-done
		for len(done) > 0 {
			<-done
		}
		return seen
	}
}

func TestARestartReplacesThePodsOfTheSameRevision(t *testing.T) {
	w, c := newWorld(t)
	before := mustDeploy(t, c, "good:1")
	marks := w.rolls("good:1")
	restarted, err := c.Restart(context.Background(), "production", "", progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if restarted.Revision != before.Number || strings.Join(restarted.Processes, " ") != "web" {
		t.Errorf("restarted %+v", restarted)
	}
	if got := marks(); len(got) != 1 || !strings.HasSuffix(got[0], " by mira@laptop") {
		t.Errorf("the templates were marked %q", got)
	}
	// It is no revision, and none is made because of it.
	if after := mustDeploy(t, c, "good:1"); !after.Unchanged || after.Number != before.Number {
		t.Errorf("the next deploy made %+v", after)
	}
}

func TestARestartThatFailsLeavesThePodsFromBefore(t *testing.T) {
	w, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	marks := w.rolls("crash:1")
	_, err := c.Restart(context.Background(), "production", "web", progress.Discard)
	failed := new(Failed)
	if !errors.As(err, &failed) || len(failed.Reasons) == 0 || failed.Stuck != nil {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"the restart of production failed", "CrashLoopBackOff", "the old pods serve on"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %q", want, err)
		}
	}
	got := marks()
	if len(got) != 2 || got[1] != "" {
		t.Errorf("the templates were marked %q", got)
	}
	leases, err := w.clientset.CoordinationV1().Leases("production").List(context.Background(), metav1.ListOptions{})
	if err != nil || len(leases.Items) > 0 {
		t.Errorf("the lock is still held: %v", leases.Items)
	}
}

func TestWhatCannotBeRestarted(t *testing.T) {
	_, c := newWorld(t)
	if _, err := c.Restart(context.Background(), "production", "", progress.Discard); !errors.Is(err, ErrNotDeployed) {
		t.Errorf("got %v", err)
	}
	mustDeploy(t, c, "good:1")
	_, err := c.Restart(context.Background(), "production", "worker", progress.Discard)
	if !fault.IsUsage(err) || fault.Hint(err) != "it has: web" {
		t.Errorf("got %v (hint %q)", err, fault.Hint(err))
	}
}
