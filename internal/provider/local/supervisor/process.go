package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// identity tells a process from a later one with the same id.
type identity struct {
	PID int `json:"pid"`
	// Started is the process's start time in clock ticks since boot, field 22
	// of /proc/PID/stat (proc_pid_stat(5)).
	Started string `json:"started"`
	// Boot is the kernel's boot id: ids and ticks begin again with each boot.
	Boot string `json:"boot"`
	// Part is what was started, so that a changed part is not adopted.
	Part *Part `json:"part,omitempty"`
}

func identify(pid int) (identity, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return identity{}, err
	}
	// The name in parentheses may hold anything, so count after the last ")".
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return identity{}, fmt.Errorf("process %d is gone", pid)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, err
	}
	return identity{PID: pid, Started: fields[19], Boot: strings.TrimSpace(string(boot))}, nil
}

func record(name string, pid int) error { return write(name, pid, nil) }

func recordPart(name string, pid int, part Part) error { return write(name, pid, &part) }

func write(name string, pid int, part *Part) error {
	id, err := identify(pid)
	if err != nil {
		return fmt.Errorf("identify process: %w", err)
	}
	id.Part = part
	if err := writeJSON(name, id); err != nil {
		return fmt.Errorf("record process: %w", err)
	}
	return nil
}

// recorded returns the process that a file tells of, if it is still alive.
func recorded(name string) (identity, bool) {
	var then identity
	if err := readJSON(name, &then); err != nil {
		return identity{}, false
	}
	now, err := identify(then.PID)
	alive := err == nil && now.Started == then.Started && now.Boot == then.Boot
	return then, alive
}

// recordedPart is recorded for a process to adopt. One that was started from
// another definition of the part is ended first.
func recordedPart(name string, part Part) (pid int, alive bool) {
	then, alive := recorded(name)
	if !alive {
		return 0, false
	}
	if then.Part == nil || reflect.DeepEqual(*then.Part, part) {
		return then.PID, true
	}
	if p, err := watch(then.PID); err == nil {
		p.stop(slog.New(slog.DiscardHandler))
	}
	return 0, false
}

// process is a live process, ours or adopted, held by a descriptor that cannot
// come to mean another one (pidfd_open(2)).
type process struct {
	pid   int
	pidfd *os.File
	fd    int // pidfd's; its own method Fd would have it block
}

func watch(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	// What does not block is waited for by Go's poller: without a thread, and
	// without looking again and again.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	return &process{pid, os.NewFile(uintptr(fd), "pidfd"), fd}, nil
}

// wait returns when the process has ended or ctx is done.
func (p *process) wait(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		p.pidfd.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // then it is looked at below
	})
	defer stop()
	if raw, err := p.pidfd.SyscallConn(); err == nil {
		raw.Read(func(uintptr) bool { return p.ended(0) }) //nolint:errcheck // as above
	}
	// Where the poller cannot wait for it.
	for ctx.Err() == nil && !p.ended(100*time.Millisecond) {
	}
}

// ended waits up to a duration for the process to end.
func (p *process) ended(within time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(within.Milliseconds()))
	return err == nil && n > 0
}

// stop ends the process and closes its descriptor.
func (p *process) stop(log *slog.Logger) {
	defer p.pidfd.Close()
	log.Info("stopping", "pid", p.pid)
	if err := unix.PidfdSendSignal(p.fd, unix.SIGTERM, nil, 0); err == nil {
		for deadline := time.Now().Add(stopGrace); time.Now().Before(deadline); {
			if p.ended(100 * time.Millisecond) {
				return
			}
		}
		log.Warn("did not stop in time, killing", "pid", p.pid)
	}
	unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0) //nolint:errcheck // gone already is as good
	for !p.ended(time.Second) {
		log.Warn("waiting for a killed process", "pid", p.pid)
	}
}

// End stops a process that no supervisor keeps running, gently at first, and
// returns when it is gone.
func End(pid int) error {
	p, err := watch(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	p.stop(slog.New(slog.DiscardHandler))
	return nil
}

// launch starts a process in a session of its own, so that what happens to the
// terminal does not happen to it.
func launch(args, env []string, logFile string) (*exec.Cmd, error) {
	output, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer output.Close()
	command := exec.Command(args[0], args[1:]...)
	command.Env, command.Dir = env, "/"
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(args[0]), err)
	}
	return command, nil
}

func spawn(dir Dir, argv []string) error {
	command, err := launch(argv, os.Environ(), dir.Log("supervisor"))
	if err != nil {
		return err
	}
	return command.Process.Release()
}
