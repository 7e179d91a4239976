//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// root is berth's source, and program the command that is built from it.
var root = func() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
}()

const program = home + "/bin/berth"

// goCache is where Go keeps what it has compiled. It would follow
// XDG_CACHE_HOME, and everything were compiled again.
var goCache = func() string {
	output, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(output))
}()

// patience is how long a command may take: the first up compiles Kubernetes.
const patience = 25 * time.Minute

func berthCommand(args ...string) *exec.Cmd {
	command := exec.Command(program, args...)
	command.Dir = root
	if i := slices.Index(args, "-C"); i >= 0 {
		// As its owner works: berth's source is nowhere near, but in the program.
		command.Dir = args[i+1]
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "XDG_STATE_HOME", "XDG_CACHE_HOME", "GOCACHE", "CONDUIT_SECRET", "KUBECONFIG":
		default:
			command.Env = append(command.Env, entry)
		}
	}
	command.Env = append(command.Env, "XDG_STATE_HOME="+home+"/state", "XDG_CACHE_HOME="+home+"/cache", "GOCACHE="+goCache)
	// What a terminal sends on Ctrl-C goes to a whole group; a test sends it to
	// the command, and must not be hit itself.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// outcome is how a command ended.
type outcome struct {
	line   string
	status int // -1 when a signal ended it
	// said is everything it wrote, printed only its standard output.
	said, printed string
	took          time.Duration
}

// berth runs a command to its end.
func berth(t *testing.T, args ...string) outcome {
	t.Helper()
	return begin(t, args...).end()
}

// mustBerth runs a command that has to succeed.
func mustBerth(t *testing.T, args ...string) outcome {
	t.Helper()
	o := berth(t, args...)
	o.wants(t, 0)
	return o
}

// wants ends the test when the command did not end with status or did not say
// all the texts.
func (o outcome) wants(t *testing.T, status int, texts ...string) {
	t.Helper()
	if o.status != status {
		t.Fatalf("%s: status %d after %s, want %d; it said:\n%s", o.line, o.status, o.took, status, o.said)
	}
	for _, text := range texts {
		if !strings.Contains(o.said, text) {
			t.Fatalf("%s does not say %q, but:\n%s", o.line, text, o.said)
		}
	}
}

// decode reads what a command printed as JSON.
func (o outcome) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(o.printed), into); err != nil {
		t.Fatalf("%s prints no JSON: %v\n%s", o.line, err, o.said)
	}
}

// ongoing is a command that runs.
type ongoing struct {
	t       *testing.T
	line    string
	command *exec.Cmd
	began   time.Time
	ended   chan struct{}

	mu            sync.Mutex
	said, printed bytes.Buffer
}

// begin starts a command.
func begin(t *testing.T, args ...string) *ongoing {
	t.Helper()
	o := &ongoing{t: t, line: "berth " + strings.Join(args, " "), command: berthCommand(args...), began: time.Now(), ended: make(chan struct{})}
	o.command.Stdout = stream{o, &o.printed}
	o.command.Stderr = stream{o, nil}
	if err := o.command.Start(); err != nil {
		t.Fatalf("%s: %v", o.line, err)
	}
	go func() {
		o.command.Wait() //nolint:errcheck // the status tells
		close(o.ended)
	}()
	// A test that fails leaves nothing behind that works on.
	t.Cleanup(func() {
		o.command.Process.Kill() //nolint:errcheck // it has ended mostly
		<-o.ended
	})
	return o
}

// stream collects output, the standard output apart as well.
type stream struct {
	o     *ongoing
	apart *bytes.Buffer
}

func (s stream) Write(p []byte) (int, error) {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if s.apart != nil {
		s.apart.Write(p)
	}
	return s.o.said.Write(p)
}

// until waits for the command to say something.
func (o *ongoing) until(text string) {
	o.t.Helper()
	deadline := time.After(patience)
	for {
		o.mu.Lock()
		said := o.said.String()
		o.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-o.ended:
			o.t.Fatalf("%s ended without saying %q:\n%s", o.line, text, o.said.String())
		case <-deadline:
			o.t.Fatalf("%s does not say %q:\n%s", o.line, text, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (o *ongoing) signal(s syscall.Signal) {
	o.t.Helper()
	if err := o.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		o.t.Fatalf("signal %s: %v", o.line, err)
	}
}

// end waits for the command's end.
func (o *ongoing) end() outcome {
	o.t.Helper()
	select {
	case <-o.ended:
	case <-time.After(patience):
		o.t.Fatalf("%s does not end:\n%s", o.line, o.said.String())
	}
	result := outcome{
		line: o.line, status: o.command.ProcessState.ExitCode(),
		said: o.said.String(), printed: o.printed.String(), took: time.Since(o.began).Round(100 * time.Millisecond),
	}
	o.t.Logf("%s: status %d after %s", result.line, result.status, result.took)
	return result
}
