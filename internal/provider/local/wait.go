package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// patience is how much longer to wait for some processes. It runs out only while
// they do nothing: on a slow machine, or beside somebody else's work, what takes
// long is no failure as long as it moves.
type patience struct {
	processes func() []int

	left time.Duration
	last time.Time
	busy map[int]time.Duration // by process
}

func patienceFor(processes func() []int, limit time.Duration) *patience {
	w := &patience{processes: processes, left: limit, last: time.Now()}
	w.busy = w.look()
	return w
}

// poll tries attempt until it succeeds, or until patience is spent. The error is
// the last attempt's. It tries at least once.
func poll(ctx context.Context, w *patience, attempt func(context.Context) error) error {
	for {
		// A request that a killed process took along must not hang without an end.
		tryCtx, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := attempt(tryCtx)
		cancel()
		if err == nil || w.spent() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// during returns a context that ends when patience is spent.
func (w *patience) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for !w.spent() {
			select {
			case <-ctx.Done():
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
		cancel(errSpent)
	}()
	return ctx, func() { cancel(nil) }
}

// errSpent is the cause of the end of a context that patience had run out for.
var errSpent = errors.New("nothing moves any more")

// spent reports whether there is none left.
func (w *patience) spent() bool {
	w.pass(time.Now(), w.look())
	return w.left <= 0
}

// pass takes off the time since the last look in which no process was busy.
func (w *patience) pass(now time.Time, busy map[int]time.Duration) {
	idle := now.Sub(w.last)
	for pid, total := range busy {
		idle -= max(0, total-w.busy[pid]) // a thread that ended takes its share along
	}
	w.left -= max(0, idle)
	w.last, w.busy = now, busy
}

// look tells for how long each process has run or waited to.
func (w *patience) look() map[int]time.Duration {
	busy := map[int]time.Duration{}
	for _, pid := range w.processes() {
		busy[pid] = busyFor(pid)
	}
	return busy
}

// busyFor is for how long the threads of a process have run or waited for a
// processor (schedstat: nanoseconds of both).
func busyFor(pid int) time.Duration {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0
	}
	var total time.Duration
	for _, file := range files {
		content, err := os.ReadFile(file)
		fields := strings.Fields(string(content))
		if err != nil || len(fields) < 2 {
			continue // the thread ended meanwhile
		}
		for _, field := range fields[:2] {
			if nanoseconds, err := strconv.ParseInt(field, 10, 64); err == nil {
				total += time.Duration(nanoseconds)
			}
		}
	}
	return total
}
