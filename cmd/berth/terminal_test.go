package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/provider"
)

// terminal opens a pseudo terminal: what a person types and sees, and what the
// command gets.
func terminal(t *testing.T) (person, command *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	command, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Close() })
	return person, command
}

// inTerminal runs a command on a terminal where a person types one answer, and
// returns what the person saw.
func (w *world) inTerminal(t *testing.T, answer string, p provider.Provider, args ...string) (status int, seen string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.File), []byte(w.project), 0o644); err != nil {
		t.Fatal(err)
	}
	person, command := terminal(t)
	if _, err := person.WriteString(answer + "\n"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		out.ReadFrom(person) // ends with an error when the command's side is closed
	}()
	a := &app{streams: console.Streams{In: command, Out: command, Err: command}, environ: []string{"TERM=xterm"}, parts: w.parts()}
	if p != nil {
		a.parts.provider = func(c *config.Config) (provider.Provider, error) { return w.opened(c, p) }
	}
	status = run(t.Context(), append([]string{"--dir", dir}, args...), a)
	command.Close()
	<-read
	return status, out.String()
}

func TestDestroyWantsTheClustersName(t *testing.T) {
	w := newWorld()
	status, seen := w.inTerminal(t, "yes", nil, "destroy")
	if status != failed || !strings.Contains(seen, "nothing was removed") {
		t.Errorf("status %d: %s", status, seen)
	}
	w.wantCalls(t)
	if status, seen := w.inTerminal(t, "local", nil, "destroy"); status != succeeded {
		t.Errorf("status %d: %s", status, seen)
	}
	w.wantCalls(t, "remove staging", "remove production", "remove log agent", "remove platform", "destroy")
}

func TestPurgeAsksAPerson(t *testing.T) {
	w := newWorld()
	if status, seen := w.inTerminal(t, "n", nil, "down", "--purge"); status != failed || !strings.Contains(seen, "keeps its data") {
		t.Errorf("status %d: %s", status, seen)
	}
	w.wantCalls(t)
	w.inTerminal(t, "y", nil, "down", "--purge")
	w.wantCalls(t, "purge")
}

// installing is a provider that installs packages.
type installing struct{ fakeProvider }

func (installing) MissingPackages() []string { return []string{"nftables", "buildah"} }

func TestUpAsksBeforeItInstallsPackages(t *testing.T) {
	w := newWorld()
	status, seen := w.inTerminal(t, "n", installing{fakeProvider{w}}, "up")
	if status != failed || !strings.Contains(seen, "nftables, buildah?") || !strings.Contains(seen, "apt-get install nftables buildah") {
		t.Errorf("status %d: %s", status, seen)
	}
	w.wantCalls(t)
	if status, seen := w.inTerminal(t, "y", installing{fakeProvider{w}}, "up"); status != succeeded || !slices.Contains(w.calls, "init") {
		t.Errorf("status %d: %s", status, seen)
	}
	// With --yes, or without a terminal, nobody is asked.
	if status, seen := w.inTerminal(t, "", installing{fakeProvider{w}}, "up", "--yes"); status != succeeded || strings.Contains(seen, "nftables") {
		t.Errorf("status %d: %s", status, seen)
	}
}

func TestProgressIsDrawnOnATerminal(t *testing.T) {
	w := newWorld()
	_, seen := w.inTerminal(t, "", nil, "init")
	for _, want := range []string{"\x1b[32m✓\x1b[m Make the cluster", "\x1b[1A\r\x1b[J", "Cluster local is ready"} {
		if !strings.Contains(seen, want) {
			t.Errorf("%q is missing in %q", want, seen)
		}
	}
}
