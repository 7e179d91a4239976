package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What gets no answer is tried again until the caller gives up; what gets one,
// even a refusal, is not.
func TestAttempt(t *testing.T) {
	refused := errors.New("connection refused")
	for _, c := range []struct {
		name   string
		silent int   // attempts that get no answer
		answer error // of the one after them
		limit  time.Duration
		tries  int
		want   error
		took   time.Duration
	}{
		{"answered", 0, nil, connectTime, 1, nil, 0},
		{"refused", 0, refused, connectTime, 1, refused, 0},
		{"lost once", 1, nil, connectTime, 2, nil, attemptTime},
		{"lost once, then refused", 1, refused, connectTime, 2, refused, attemptTime},
		{"nobody there", 99, nil, 5 * attemptTime / 2, 3, context.DeadlineExceeded, 5 * attemptTime / 2},
		{"caller in a hurry", 99, nil, attemptTime / 2, 1, context.DeadlineExceeded, attemptTime / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.limit)
				defer cancel()
				began, tries := time.Now(), 0
				_, err := attempt(ctx, func(ctx context.Context) (int, error) {
					if tries++; tries <= c.silent {
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return tries, c.answer
				})
				if tries != c.tries || !errors.Is(err, c.want) || time.Since(began) != c.took {
					t.Errorf("%d tries, %v after %s; want %d, %v after %s", tries, err, time.Since(began), c.tries, c.want, c.took)
				}
			})
		})
	}
}
