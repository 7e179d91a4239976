//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pods go: in order, when they are deleted, and without a word, when their
// process dies.
func testPods(t *testing.T) {
	c := running(t)
	t.Run("delete", func(t *testing.T) {
		underLoad(t, "deleting a pod", func() {
			pod := c.pods(t, "production", app)[0]
			if err := c.CoreV1().Pods("production").Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			took := waitFor(t, "another pod", 2*time.Minute, func() error { return c.whole(t, pod.Name) })
			t.Logf("two pods again after %s", took)
		})
	})
	t.Run("SIGKILL", func(t *testing.T) {
		// NGINX sends what a dead pod had in hand to the other one, but for a
		// POST, which may have been done already: that one may fail.
		lost := loadDuring(t, "killing the processes of both pods, one after the other", func() {
			for _, pod := range c.pods(t, "production", app) {
				processes := podProcesses(t, pod)
				if len(processes) != 1 {
					t.Fatalf("pod %s has the processes %v, want one", pod.Name, processes)
				}
				kill(t, processes[0])
				took := waitFor(t, "the container's restart", 2*time.Minute, func() error {
					now, err := c.CoreV1().Pods("production").Get(t.Context(), pod.Name, metav1.GetOptions{})
					if err != nil {
						return err
					}
					if s := now.Status.ContainerStatuses; len(s) == 0 || s[0].RestartCount == restarts(pod) || !ready(now) {
						return fmt.Errorf("not yet")
					}
					return nil
				})
				t.Logf("two pods again after %s", took)
				// The other one's turn comes when NGINX knows that this one is
				// back: with none left nobody can serve.
				time.Sleep(3 * time.Second)
			}
		})
		posts := len(lost)
		if lost = slices.DeleteFunc(lost, func(l lostRequest) bool { return !l.idempotent() }); len(lost) > 0 {
			t.Errorf("lost requests:\n%s", summary(lost))
		}
		posts -= len(lost)
		t.Logf("%d POSTs were in the hands of a process when it died", posts)
		// At 120 requests a second of some milliseconds, a few are.
		if posts > 4 {
			t.Errorf("too many POSTs failed: %d", posts)
		}
	})
}

// whole returns nil when two pods are ready and none is the one named.
func (c *cluster) whole(t *testing.T, without string) error {
	t.Helper()
	pods := c.pods(t, "production", app)
	for _, pod := range pods {
		if !ready(&pod) || pod.Name == without {
			return fmt.Errorf("pod %s: ready %v", pod.Name, ready(&pod))
		}
	}
	if len(pods) != 2 {
		return fmt.Errorf("%d pods", len(pods))
	}
	return nil
}

func restarts(pod core.Pod) int32 {
	if len(pod.Status.ContainerStatuses) == 0 {
		return 0
	}
	return pod.Status.ContainerStatuses[0].RestartCount
}
