package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupMount = "/sys/fs/cgroup"

// makeCgroup makes a cgroup in every hierarchy. The kubelet makes its own
// groups only below one that exists.
func makeCgroup(name string) error {
	roots, unified, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		path := root
		for _, element := range strings.Split(strings.Trim(name, "/"), "/") {
			if unified {
				if err := delegate(path); err != nil {
					return err
				}
			}
			path = filepath.Join(path, element)
			if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("make cgroup: %w", err)
			}
			if filepath.Base(root) == "cpuset" {
				if err := inheritCpuset(path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// delegate hands a group's controllers down to its children (cgroup v2).
func delegate(path string) error {
	controllers, err := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read cgroup controllers: %w", err)
	}
	for _, controller := range strings.Fields(string(controllers)) {
		if err := os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("delegate cgroup controller %s: %w", controller, err)
		}
	}
	return nil
}

// inheritCpuset fills in what a new cpuset group of cgroup v1 begins without.
func inheritCpuset(path string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(path), file))
		if err == nil {
			err = os.WriteFile(filepath.Join(path, file), parent, 0o644)
		}
		if err != nil {
			return fmt.Errorf("set %s: %w", file, err)
		}
	}
	return nil
}

// cgroupRoots returns the mount points of the hierarchies: one with cgroup v2,
// one a controller with v1.
func cgroupRoots() (roots []string, unified bool, err error) {
	if exists(filepath.Join(cgroupMount, "cgroup.controllers")) {
		return []string{cgroupMount}, true, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil, false, fmt.Errorf("read cgroups: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() { // links such as cpu,cpuacct name a hierarchy again
			roots = append(roots, filepath.Join(cgroupMount, entry.Name()))
		}
	}
	return roots, false, nil
}

// removeCgroups removes a group and all below it, which must have no process
// left.
func removeCgroups(name string) error {
	roots, _, err := cgroupRoots()
	if err != nil {
		return err
	}
	var problems []error
	for _, root := range roots {
		var groups []string
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		problems = append(problems, err)
		for i := len(groups) - 1; i >= 0; i-- {
			problems = append(problems, os.Remove(groups[i]))
		}
	}
	return errors.Join(problems...)
}

// killCgroup kills every process in a cgroup and those below it.
func killCgroup(name string) error {
	for range 50 {
		processes, err := cgroupProcesses(name)
		if err != nil || len(processes) == 0 {
			return err
		}
		for _, pid := range processes {
			unix.Kill(pid, unix.SIGKILL) //nolint:errcheck // gone already is as good
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("processes of the cgroup %s do not end", name)
}

// cgroupProcesses are the processes in a cgroup and those below it, in every
// hierarchy.
func cgroupProcesses(name string) ([]int, error) {
	roots, _, err := cgroupRoots()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.Name() != "cgroup.procs" {
				return err
			}
			content, _ := os.ReadFile(path) // the group may be gone by now
			for _, line := range strings.Fields(string(content)) {
				if pid, err := strconv.Atoi(line); err == nil {
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list the processes of cgroup %s: %w", name, err)
		}
	}
	return pids, nil
}
