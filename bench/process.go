package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// cpu is the processor time that the server and its database have used.
type cpu struct{ server, database time.Duration }

func (c cpu) since(before cpu) cpu {
	return cpu{c.server - before.server, c.database - before.database}
}

// Fields of proc_pid_stat(5), counted from the one after the name.
const (
	parentField   = 1
	ownTime       = 11 // utime, stime
	childrensTime = 13 // cutime, cstime: of children that have ended
)

// cpuTimes reads the time of a server and, unless the number is 0, of a
// database with all its children: PostgreSQL has one for each connection.
func cpuTimes(server, database int) cpu {
	times := cpu{server: cpuTime(server, ownTime)}
	if database != 0 {
		times.database = cpuTime(database, ownTime) + cpuTime(database, childrensTime)
		stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is a good one
		for _, path := range stats {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if fields := processStat(pid); err == nil && len(fields) > parentField && fields[parentField] == strconv.Itoa(database) {
				times.database += cpuTime(pid, ownTime)
			}
		}
	}
	return times
}

// cpuTime adds up two fields of a process, 0 for one that is gone.
func cpuTime(pid, field int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ, 100 on every architecture of Go's
	fields := processStat(pid)
	if len(fields) <= field+1 {
		return 0
	}
	user, userErr := strconv.Atoi(fields[field])
	system, systemErr := strconv.Atoi(fields[field+1])
	if userErr != nil || systemErr != nil {
		return 0
	}
	return time.Duration(user+system) * tick
}

// processStat returns the fields of a process after its name, which may hold
// anything.
func processStat(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, after, _ := strings.Cut(string(content), ") ")
	return strings.Fields(after)
}

// peakMemory is the most resident memory that the server has had, in bytes.
func (s *server) peakMemory() int64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		if kilobytes, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.Fields(kilobytes)[0], 10, 64)
			if err == nil {
				return n << 10
			}
		}
	}
	return 0
}

// processes are those of this machine that a test of their number passes.
func processes(test func(pid int) bool) ([]int, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			return nil, err
		}
		if test(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// named tests whether the name of a process's program begins with one of these.
// One that has ended meanwhile has none.
func named(names ...string) func(pid int) bool {
	return func(pid int) bool {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		program, _, _ := strings.Cut(string(line), "\x00")
		return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(filepath.Base(program), name) })
	}
}

// inPods tests whether a process is in one of these pods, for each of which the
// kubelet has a control group.
func inPods(pods ...*corev1.Pod) func(pid int) bool {
	return func(pid int) bool {
		groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		return slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return strings.Contains(string(groups), "/pod"+string(pod.UID)+"/") })
	}
}

func signalAll(pids []int, s syscall.Signal) error {
	var problems []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil {
			problems = append(problems, fmt.Errorf("signal process %d: %w", pid, err))
		}
	}
	return errors.Join(problems...)
}

// allow lets the processes that pass the test run on these processors alone.
func allow(processors unix.CPUSet, test func(pid int) bool) error {
	pids, err := processes(test)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return err
		}
		for _, path := range threads {
			thread, err := strconv.Atoi(filepath.Base(path))
			if err != nil {
				return err
			}
			// One that has ended needs nothing.
			if err := unix.SchedSetaffinity(thread, &processors); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("choose the processors of thread %d: %w", thread, err)
			}
		}
	}
	return nil
}
