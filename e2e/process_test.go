//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	core "k8s.io/api/core/v1"
)

// parts are the names of the processes that the supervisor keeps running, and
// its own two.
func parts(t *testing.T) []string {
	t.Helper()
	records, err := filepath.Glob(state + "/supervisor/run/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, record := range records {
		names = append(names, strings.TrimSuffix(filepath.Base(record), ".json"))
	}
	return names
}

// partPID is the process of a part, which must be alive.
func partPID(name string) (int, error) {
	content, err := os.ReadFile(filepath.Join(state, "supervisor", "run", name+".json"))
	if err != nil {
		return 0, err
	}
	var record struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(content, &record); err != nil {
		return 0, err
	}
	// A zombie, which nobody may have reaped, has no program.
	if _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", record.PID)); err != nil || record.PID == 0 {
		return 0, fmt.Errorf("%s does not run", name)
	}
	return record.PID, nil
}

// podProcesses are the processes of a pod, but for the one that holds its
// namespaces.
func podProcesses(t *testing.T, pod core.Pod) []int {
	t.Helper()
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, name := range groups {
		content, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(content), "pod"+string(pod.UID)) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(name, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		if line := commandLine(pid); line != "" && !strings.HasPrefix(line, "/pause") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// commandLine is a process's arguments, "" for one that has ended.
func commandLine(pid int) string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(string(content), "\x00", " "))
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}
