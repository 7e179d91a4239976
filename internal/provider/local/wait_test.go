package local

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

// What is busy may take as long as it takes; what does nothing may not.
func TestPatienceRunsOutWhileNothingMoves(t *testing.T) {
	type look map[int]time.Duration // at intervals of a second
	for name, test := range map[string]struct {
		looks []look
		left  time.Duration
	}{
		"a process that does nothing":           {[]look{{7: 5}, {7: 5}, {7: 5}}, 7 * time.Second},
		"no process at all":                     {[]look{{}, {}}, 8 * time.Second},
		"one that is busy":                      {[]look{{7: time.Second}, {7: 2 * time.Second}, {7: 3 * time.Second}}, 10 * time.Second},
		"one that is busy with several threads": {[]look{{7: 4 * time.Second}, {7: 8 * time.Second}}, 10 * time.Second},
		"one that is busy a quarter of it":      {[]look{{7: 250 * time.Millisecond}, {7: 500 * time.Millisecond}}, 8500 * time.Millisecond},
		"the second, while the first waits":     {[]look{{7: 1, 8: time.Second}, {7: 1, 8: 2 * time.Second}}, 10 * time.Second},
		"one that ends and starts again":        {[]look{{7: time.Second}, {9: 100 * time.Millisecond}}, 9100 * time.Millisecond},
		"one whose busy threads ended":          {[]look{{7: time.Second}, {7: 0}, {7: 0}}, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			w := &patience{left: 10 * time.Second, last: now}
			for _, busy := range test.looks {
				now = now.Add(time.Second)
				w.pass(now, busy)
			}
			if off := w.left - test.left; off.Abs() > time.Millisecond {
				t.Errorf("%s are left, want %s", w.left, test.left)
			}
		})
	}
}

// Waiting for something ends when it does nothing, and then says so.
func TestWaitingEndsWhenNothingMoves(t *testing.T) {
	ctx, cancel := patienceFor(func() []int { return nil }, 100*time.Millisecond).during(t.Context())
	defer cancel()
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("it goes on without end")
	}
	if !errors.Is(context.Cause(ctx), errSpent) {
		t.Errorf("it ended by %v", context.Cause(ctx))
	}
	busy := func() []int { return []int{os.Getpid()} }
	ctx, cancel = patienceFor(busy, time.Hour).during(t.Context())
	cancel()
	if <-ctx.Done(); !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Errorf("what was done with ended by %v", context.Cause(ctx))
	}
}

// A process that computes, or would if it were let, is told from one that sleeps.
func TestBusyFor(t *testing.T) {
	sleeping, computing := exec.Command("sleep", "60"), exec.Command("sh", "-c", "while :; do :; done")
	for _, command := range []*exec.Cmd{sleeping, computing} {
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		defer command.Wait()         //nolint:errcheck // it was killed
		defer command.Process.Kill() //nolint:errcheck // gone already is as good
	}
	for deadline := time.Now().Add(20 * time.Second); busyFor(computing.Process.Pid) < time.Second; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a busy process counts for %s", busyFor(computing.Process.Pid))
		}
	}
	if idle := busyFor(sleeping.Process.Pid); idle > 500*time.Millisecond {
		t.Errorf("a sleeping process counts for %s", idle)
	}
	if busyFor(os.Getpid()) == 0 || busyFor(1<<30) != 0 {
		t.Error("this process counts for nothing, or nobody for something")
	}
}
