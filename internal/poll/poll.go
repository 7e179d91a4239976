// Package poll waits until something is so, or for a time.
package poll

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Until calls done at once and then at intervals, until it returns true or an
// error. When ctx ends first, Until returns the cause of that, which
// apimachinery's own functions do not tell.
func Until(ctx context.Context, interval time.Duration, done func(context.Context) (bool, error)) error {
	err := wait.PollUntilContextCancel(ctx, interval, true, done)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Sleep waits, or returns why it did not.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
