package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"berth/internal/progress"
)

// newCommand prepares a command that is ended together with its children when
// ctx ends: builders start helpers that would go on without them.
func newCommand(ctx context.Context, path string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	// docker draws no progress bars then.
	command.Env = append(os.Environ(), "BUILDKIT_PROGRESS=plain")
	return command
}

func (b *Builder) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := newCommand(ctx, b.path, append(slices.Clone(b.global), arguments...)...)
	if b.temp != "" {
		command.Env = append(command.Env, "TMPDIR="+b.temp)
	}
	return command
}

// run runs the builder, its output going to step, which may be nil. An error
// holds the output's last lines.
func (b *Builder) run(ctx context.Context, step progress.Step, arguments ...string) error {
	lines := &tail{step: step}
	command := b.command(ctx, arguments...)
	command.Stdout = lines
	command.Stderr = lines // the same writer: exec then never calls it from two sides
	return lines.explain(ctx, command.Run())
}

// output runs the builder and returns what it writes to stdout.
func (b *Builder) output(ctx context.Context, arguments ...string) (string, error) {
	lines := &tail{}
	var out bytes.Buffer
	command := b.command(ctx, arguments...)
	command.Stdout = &out
	command.Stderr = lines
	err := command.Run()
	return out.String(), lines.explain(ctx, err)
}

// tail hands on lines as they come and keeps the last ones.
type tail struct {
	step    progress.Step
	partial []byte
	last    []string
}

const (
	keptLines = 20
	// longestLine bounds what a builder can make berth hold.
	longestLine = 8 << 10
)

func (t *tail) Write(data []byte) (int, error) {
	for _, c := range data {
		switch {
		case c == '\n' || c == '\r': // progress bars end with a carriage return
			t.flush()
		case len(t.partial) < longestLine:
			t.partial = append(t.partial, c)
		}
	}
	return len(data), nil
}

func (t *tail) flush() {
	line := strings.TrimRight(string(t.partial), " \t")
	t.partial = t.partial[:0]
	if line == "" {
		return
	}
	if t.step != nil {
		t.step.Detail(line)
	}
	if len(t.last) == keptLines {
		t.last = slices.Delete(t.last, 0, 1)
	}
	t.last = append(t.last, line)
}

// explain adds the last lines to a failure.
func (t *tail) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.flush()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || len(t.last) == 0 {
		return err
	}
	return fmt.Errorf("%w\n  %s", err, strings.Join(t.last, "\n  "))
}
