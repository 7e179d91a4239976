package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/progress"
	"berth/internal/provider"
)

// waiting is a provider whose Init tells that it began and then waits.
type waiting struct {
	fakeProvider
	began chan<- struct{}
	// deaf never looks whether the command was interrupted.
	deaf bool
}

func (p waiting) Init(ctx context.Context, r progress.Reporter) error {
	step := r.Step("Make the cluster")
	close(p.began)
	if p.deaf {
		select {}
	}
	<-ctx.Done()
	step.End(ctx.Err())
	return ctx.Err()
}

func (p waiting) app(streams console.Streams) *app {
	w := newWorld().parts()
	w.provider = func(*config.Config) (provider.Provider, error) { return p, nil }
	return &app{streams: streams, parts: w}
}

func TestAnInterruptedCommandSaysThatItCanGoOn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.File), []byte(tiny), 0o644); err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	ctx, interrupt := context.WithCancel(t.Context())
	go func() { <-began; interrupt() }()
	var out, errs bytes.Buffer
	a := waiting{fakeProvider: fakeProvider{newWorld()}, began: began}.app(console.Streams{In: &out, Out: &out, Err: &errs})
	if status := run(ctx, []string{"-C", dir, "init"}, a); status != failed {
		t.Errorf("exit status %d", status)
	}
	if want := "error: interrupted\nhint: run the same command again to continue\n"; !strings.HasSuffix(errs.String(), want) {
		t.Errorf("stderr is %s", &errs)
	}
}

// stuck is berth with a provider that does not hear. It is run as berth-stuck.
func stuck() {
	p := waiting{fakeProvider: fakeProvider{newWorld()}, began: make(chan struct{}), deaf: true}
	os.Exit(run(context.Background(), os.Args[1:], p.app(console.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})))
}

func TestTheSecondInterruptEndsTheProcess(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.File), []byte(tiny), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("berth-stuck", "-C", dir, "init")
	began, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := began.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	// When the first one has been heard cannot be seen from outside.
	for interrupts := 1; ; interrupts++ {
		if err := command.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Errorf("it ended with %v", err)
			}
			if interrupts < 2 {
				t.Error("the first interrupt ended it already")
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}
