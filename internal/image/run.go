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
	// docker draws no progress bars then, and builds with BuildKit.
	command.Env = append(os.Environ(), "BUILDKIT_PROGRESS=plain", "DOCKER_BUILDKIT=1")
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
// holds the end of the output.
func (b *Builder) run(ctx context.Context, step progress.Step, arguments ...string) error {
	return b.runWith(ctx, step, nil, nil, arguments...)
}

// runWith is run with more environment, and with secrets that the output must
// not show.
func (b *Builder) runWith(ctx context.Context, step progress.Step, environment []string, secrets map[string]string, arguments ...string) error {
	said := &tail{}
	hide := mask(secrets)
	lines := &lineWriter{line: func(line string) {
		line = hide.Replace(line)
		if step != nil {
			step.Detail(line)
		}
		said.add(line)
	}}
	command := b.command(ctx, arguments...)
	command.Env = append(command.Env, environment...)
	command.Stdout = lines
	command.Stderr = lines // the same writer: exec then never calls it from two sides
	err := command.Run()
	lines.flush()
	return said.explain(ctx, err)
}

// output runs the builder and returns what it writes to stdout.
func (b *Builder) output(ctx context.Context, arguments ...string) (string, error) {
	said := &tail{}
	lines := &lineWriter{line: said.add}
	var out bytes.Buffer
	command := b.command(ctx, arguments...)
	command.Stdout = &out
	command.Stderr = lines
	err := command.Run()
	lines.flush()
	return out.String(), said.explain(ctx, err)
}

// lineWriter hands on what is written to it by the line.
type lineWriter struct {
	line    func(string)
	partial []byte
}

// longestLine, in bytes, bounds what a builder can make berth hold.
const longestLine = 1 << 20

func (w *lineWriter) Write(data []byte) (int, error) {
	for _, c := range data {
		switch {
		case c == '\n' || c == '\r': // progress bars end with a carriage return
			w.flush()
		case len(w.partial) < longestLine:
			w.partial = append(w.partial, c)
		}
	}
	return len(data), nil
}

func (w *lineWriter) flush() {
	line := strings.TrimRight(string(w.partial), " \t")
	w.partial = w.partial[:0]
	if line != "" {
		w.line(line)
	}
}

// tail keeps the last lines of an output: enough for a compiler's errors or a
// whole traceback.
type tail struct{ last []string }

const keptLines = 200

func (t *tail) add(line string) {
	if len(t.last) == keptLines {
		t.last = slices.Delete(t.last, 0, 1)
	}
	t.last = append(t.last, line[:min(len(line), longestShown)])
}

// longestShown, in bytes, is what a failure shows of a line.
const longestShown = 2 << 10

// String is the lines, indented.
func (t *tail) String() string {
	if len(t.last) == 0 {
		return ""
	}
	return "  " + strings.Join(t.last, "\n  ")
}

// explain adds the last lines to a failure.
func (t *tail) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || len(t.last) == 0 {
		return err
	}
	return fmt.Errorf("%w\n%s", err, t)
}
