package kube

import (
	"context"
	"time"

	"berth/internal/poll"
)

// Poll calls done at once and then at intervals, until it returns true or an error.
func Poll(ctx context.Context, interval time.Duration, done func(context.Context) (bool, error)) error {
	return poll.Until(ctx, interval, done)
}

// Sleep waits, or returns why it did not.
func Sleep(ctx context.Context, d time.Duration) error { return poll.Sleep(ctx, d) }
