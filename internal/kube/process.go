package kube

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// process names one process so that another on the same machine can tell
// whether it still runs: by the machine's boot, the PID namespace, the PID, and
// when it started, as PIDs are used again. It is empty where /proc does not say.
type process string

// self is this process.
func self() process {
	started := startOf(os.Getpid())
	table := processTable()
	if started == "" || table == "" {
		return ""
	}
	return process(fmt.Sprintf("%s %d %s", table, os.Getpid(), started))
}

// gone reports whether a process has ended for certain. One of another machine
// or container has not.
func (p process) gone() bool {
	var table, started string
	var pid int
	if n, err := fmt.Sscan(string(p), &table, &pid, &started); n != 3 || err != nil || table != processTable() {
		return false
	}
	found, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	if err := found.Signal(syscall.Signal(0)); errors.Is(err, os.ErrProcessDone) {
		return true
	}
	now := startOf(pid)
	return now != "" && now != started
}

// processTable names the boot and the PID namespace in which a PID means
// something.
func processTable() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + "/" + namespace
}

// startOf is when a process started, in ticks since the boot; "zombie" for one
// that has ended and that nobody has waited for.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name, in parentheses, may hold anything.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return ""
	}
	if fields[0] == "Z" {
		return "zombie"
	}
	return fields[19] // proc(5) calls it (22) starttime
}
