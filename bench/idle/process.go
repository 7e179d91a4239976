package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"berth/internal/provider/local/supervisor"
)

// process is one process of the cluster.
type process struct {
	pid  int
	part string
	// cpu is the processor time that it has used, with that of the children it
	// has waited for.
	cpu    time.Duration
	memory int64 // bytes of its proportional set size
}

// look finds the cluster's processes: what the supervisor keeps running, each
// container's shim, and what runs in pods, by its program's name.
func look(state string) ([]process, error) {
	dir := supervisor.Dir(filepath.Join(state, "supervisor"))
	parts, err := supervisor.Parts(dir)
	if err != nil {
		return nil, fmt.Errorf("read the supervisor's spec: %w", err)
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("no cluster is up in %s", state)
	}
	known := map[int]string{}
	for _, name := range []string{"supervisor", "supervisor-standby"} {
		if pid, ok := supervisor.PID(dir, name); ok {
			known[pid] = name
		}
	}
	for _, part := range parts {
		if pid, ok := supervisor.PID(dir, part.Name); ok {
			known[pid] = part.Name
		}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		part := known[pid]
		if part == "" {
			if part = podPart(pid, state); part == "" {
				continue
			}
		}
		cpu, err := used(pid)
		if err != nil {
			continue // it ended meanwhile
		}
		memory, err := resident(pid)
		if err != nil {
			continue
		}
		all = append(all, process{pid, part, cpu, memory})
	}
	return all, nil
}

// podPart names the part that a process of a container is, and returns "" for
// one that is none of the cluster's.
func podPart(pid int, state string) string {
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(arguments) == 0 { // a kernel thread has none
		return ""
	}
	// What a process calls itself goes on after a blank or a colon: "nginx: worker".
	first, _, _ := bytes.Cut(arguments, []byte{0})
	title := strings.FieldsFunc(string(first), func(r rune) bool { return r == ' ' || r == ':' })
	if len(title) == 0 {
		return ""
	}
	program := filepath.Base(title[0])
	if strings.HasPrefix(program, "containerd-shim") && bytes.Contains(arguments, []byte(state+"/")) {
		return "shims"
	}
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !bytes.Contains(groups, []byte(":/berth/node-")) && !bytes.Contains(groups, []byte("/kubepods")) {
		return ""
	}
	return "pod: " + program
}

// ticks is the unit of times in /proc/PID/stat, USER_HZ, which is 100 on every
// platform that Go knows.
const ticks = time.Second / 100

// used is fields 14 to 17 of /proc/PID/stat, proc_pid_stat(5).
func used(pid int) (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(content))
}

func parseStat(content string) (time.Duration, error) {
	// The name in parentheses may hold anything.
	fields := strings.Fields(content[strings.LastIndexByte(content, ')')+1:])
	if len(fields) < 15 {
		return 0, fmt.Errorf("no times in %q", content)
	}
	var sum int64
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * ticks, nil
}

// resident is the proportional set size, of /proc/PID/smaps_rollup.
func resident(pid int) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	return parseRollup(content)
}

func parseRollup(content []byte) (int64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "Pss:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("no proportional set size in %q", content)
}
