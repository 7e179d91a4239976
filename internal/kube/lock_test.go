package kube

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth/internal/poll"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// lockOf makes seconds out of minutes. A Lease counts in whole seconds.
func lockOf(who string, held ...runtime.Object) Lock {
	return Lock{Client: fake.NewClientset(held...), Namespace: "production", Name: "shop-deploy", Who: who,
		Duration: time.Second, Renew: 20 * time.Millisecond}
}

func leaseHeldBy(who string, renewed time.Time) *coordination.Lease {
	stamp, seconds := metav1.NewMicroTime(renewed), int32(1)
	return &coordination.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "shop-deploy"},
		Spec:       coordination.LeaseSpec{HolderIdentity: &who, AcquireTime: &stamp, RenewTime: &stamp, LeaseDurationSeconds: &seconds},
	}
}

func TestLockIsHeldWhileWorkingAndGivenBack(t *testing.T) {
	c := lockOf("mira@laptop")
	leases := c.Client.CoordinationV1().Leases("production")
	err := c.Do(context.Background(), func(ctx, _ context.Context) error {
		first, err := leases.Get(ctx, "shop-deploy", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !strings.HasPrefix(holder(first), "mira@laptop/") {
			t.Errorf("held by %q", holder(first))
		}
		began := time.Now()
		for time.Since(began) < 5*time.Second {
			now, err := leases.Get(ctx, "shop-deploy", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if now.Spec.RenewTime.After(first.Spec.RenewTime.Time) {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
		return errors.New("the lock was not renewed")
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := leases.List(context.Background(), metav1.ListOptions{}); len(left.Items) != 0 {
		t.Errorf("left behind: %v", left.Items)
	}
}

func TestLock(t *testing.T) {
	tests := []struct {
		name    string
		renewed time.Duration
		// alive renews the lease while it is being looked at.
		alive bool
		free  bool
	}{
		{name: "renewed just now", renewed: 0},
		{name: "run out", renewed: -time.Hour, free: true},
		{name: "run out by this clock, but its holder lives", renewed: -time.Hour, alive: true},
		{name: "from a clock that is hours ahead", renewed: time.Hour, free: true},
		{name: "from a clock that is hours ahead, whose owner lives", renewed: time.Hour, alive: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lease := leaseHeldBy("ada@desk/7 X", time.Now().Add(test.renewed))
			c := lockOf("mira@laptop", lease)
			looks := 0
			c.Client.(*fake.Clientset).PrependReactor("get", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
				if looks++; looks == 2 && test.alive {
					return true, leaseHeldBy("ada@desk/7 X", time.Now().Add(test.renewed)), nil
				}
				return false, nil, nil
			})
			worked := false
			err := c.Do(context.Background(), func(context.Context, context.Context) error {
				worked = true
				return nil
			})
			if worked != test.free {
				t.Errorf("worked: %v, want %v (%v)", worked, test.free, err)
			}
			if !test.free && (!errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "ada@desk/7 has been at work here since")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecondDeployFailsAtOnce(t *testing.T) {
	c := lockOf("mira@laptop")
	err := c.Do(context.Background(), func(ctx, _ context.Context) error {
		return c.Do(ctx, func(context.Context, context.Context) error {
			t.Error("two at a time")
			return nil
		})
	})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}

func TestWaitDoesOneAfterTheOther(t *testing.T) {
	lock := lockOf("mira@laptop")
	var busy, done, waited atomic.Int32
	failed := make(chan error, 4)
	for range 4 {
		go func() {
			failed <- lock.Wait(t.Context(), func(held error) {
				if errors.Is(held, ErrLocked) {
					waited.Add(1)
				}
			}, func(context.Context) error {
				if busy.Add(1) > 1 {
					t.Error("two at once")
				}
				time.Sleep(20 * time.Millisecond)
				busy.Add(-1)
				done.Add(1)
				return nil
			})
		}()
	}
	for range 4 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if done.Load() != 4 || waited.Load() == 0 {
		t.Errorf("%d done, waited %d times", done.Load(), waited.Load())
	}

	why := errors.New("the work's own")
	if err := lock.Wait(t.Context(), nil, func(context.Context) error { return why }); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	err := lock.Wait(t.Context(), nil, func(context.Context) error { return fmt.Errorf("another's: %w", ErrLocked) })
	if !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, and the work once", err)
	}
}

func TestLostLockEndsTheWork(t *testing.T) {
	tests := map[string]func(Lock) error{
		"taken over": func(c Lock) error {
			_, err := c.Client.CoordinationV1().Leases("production").Update(context.Background(), leaseHeldBy("ada@desk/7 X", time.Now()), metav1.UpdateOptions{})
			return err
		},
		"deleted": func(c Lock) error {
			return c.Client.CoordinationV1().Leases("production").Delete(context.Background(), "shop-deploy", metav1.DeleteOptions{})
		},
	}
	for name, take := range tests {
		t.Run(name, func(t *testing.T) {
			c := lockOf("mira@laptop")
			// The fake API has no optimistic locking of its own.
			c.Client.(*fake.Clientset).PrependReactor("update", "leases", conflict(c))
			err := c.Do(context.Background(), func(ctx, held context.Context) error {
				if err := take(c); err != nil {
					t.Fatal(err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Second):
					t.Error("the work was not ended")
				}
				if held.Err() == nil {
					t.Error("the way back was not ended")
				}
				return context.Cause(ctx)
			})
			if !errors.Is(err, ErrLockLost) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A busy API server, or a machine that stood still, is nobody else at work.
func TestLateRenewalsAreNoLoss(t *testing.T) {
	c := lockOf("mira@laptop")
	var failed atomic.Int32
	c.Client.(*fake.Clientset).PrependReactor("update", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		failed.Add(1)
		return true, nil, errors.New("connection refused")
	})
	err := c.Do(context.Background(), func(ctx, _ context.Context) error {
		// For longer than the Lease is good for.
		return poll.Sleep(ctx, 3*c.Duration/2)
	})
	if err != nil || failed.Load() == 0 {
		t.Errorf("after %d renewals that failed: %v", failed.Load(), err)
	}
}

// versioned makes the fake API refuse to delete a Lease of another version, and
// lets it lose the answer to every update.
func versioned(c Lock) {
	client, version := c.Client.(*fake.Clientset), 1
	client.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		next := action.(clienttesting.UpdateAction).GetObject().(*coordination.Lease).DeepCopy()
		version++
		next.ResourceVersion = strconv.Itoa(version)
		if err := client.Tracker().Update(action.GetResource(), next, "production"); err != nil {
			return true, nil, err
		}
		return true, nil, context.DeadlineExceeded
	})
	client.PrependReactor("delete", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		found, err := client.Tracker().Get(action.GetResource(), "production", "shop-deploy")
		if err != nil {
			return true, nil, err
		}
		wanted := action.(clienttesting.DeleteActionImpl).DeleteOptions.Preconditions.ResourceVersion
		if *wanted != found.(*coordination.Lease).ResourceVersion {
			return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), "shop-deploy", errors.New("it was changed"))
		}
		return false, nil, nil
	})
}

// A renewal whose answer comes late, or never, has changed the Lease all the
// same; it must not stay behind, locked for 40 seconds.
func TestLockIsGivenBackAfterAnAnswerThatGotLost(t *testing.T) {
	c := lockOf("mira@laptop")
	versioned(c)
	if err := c.Do(context.Background(), func(ctx, _ context.Context) error { return poll.Sleep(ctx, 5*c.Renew) }); err != nil {
		t.Fatal(err)
	}
	left, err := c.Client.CoordinationV1().Leases("production").List(context.Background(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("left behind: %v, %v", left.Items, err)
	}
}

func TestALockOfADeadProcessIsFree(t *testing.T) {
	me := self()
	if me == "" {
		t.Fatal("/proc does not say who this is")
	}
	fields := strings.Fields(string(me))
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		process process
		free    bool
	}{
		{"a process that runs", me, false},
		{"a process that ended", process(fmt.Sprintf("%s %d %s", fields[0], dead.Process.Pid, fields[2])), true},
		{"another process with its PID", process(fmt.Sprintf("%s %s 1", fields[0], fields[1])), true},
		{"a process of another machine", process(fmt.Sprintf("elsewhere %d %s", dead.Process.Pid, fields[2])), false},
		{"a berth that says nothing of it", "", false},
		{"nonsense", "a b c d", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lease := leaseHeldBy("mira@laptop/7 X", time.Now())
			lease.Annotations = map[string]string{processAnnotation: string(test.process)}
			c := lockOf("mira@laptop", lease)
			who, err := c.Holder(t.Context())
			if err != nil || (who == "") != test.free {
				t.Errorf("held by %q, %v", who, err)
			}
			if err := c.Free(t.Context()); test.free != (err == nil) || !test.free && !errors.Is(err, ErrLocked) {
				t.Errorf("whether it is free: %v", err)
			}
			err = c.Do(t.Context(), func(context.Context, context.Context) error { return nil })
			if test.free != (err == nil) || !test.free && !errors.Is(err, ErrLocked) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCancelledWorkMayStillGoBack(t *testing.T) {
	c := lockOf("mira@laptop")
	ctx, cancel := context.WithCancel(context.Background())
	err := c.Do(ctx, func(ctx, held context.Context) error {
		cancel()
		<-ctx.Done()
		return held.Err()
	})
	if err != nil {
		t.Errorf("got %v", err)
	}
}

// conflict refuses to update a Lease for another holder than its present one,
// unless it is the test that does so.
func conflict(c Lock) clienttesting.ReactionFunc {
	return func(action clienttesting.Action) (bool, runtime.Object, error) {
		next := action.(clienttesting.UpdateAction).GetObject().(*coordination.Lease)
		found, err := c.Client.(*fake.Clientset).Tracker().Get(action.GetResource(), "production", "shop-deploy")
		if err != nil {
			return true, nil, err
		}
		if holder(next) != holder(found.(*coordination.Lease)) && strings.HasPrefix(holder(next), "mira") {
			return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), "shop-deploy", errors.New("it was changed"))
		}
		return false, nil, nil
	}
}
