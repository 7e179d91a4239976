package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/provider"
)

// checkContainer looks whether the kernel's settings may be changed, which is not so in
// a container without privileges.
func checkContainer(h host) provider.Check {
	c := provider.Check{Name: "kernel settings"}
	for _, at := range []string{"/proc/sys", cgroupMount} {
		m := h.mountOf(at)
		// With cgroup v1, a read-only tmpfs holds the mounts of the controllers.
		if m.at != at || !slices.Contains(m.options, "ro") || at == cgroupMount && m.kind != "cgroup2" {
			continue
		}
		c.Problem = at + " is read-only"
		c.Remedy = "run berth on the machine itself"
		if kind := h.container(); kind != "" {
			c.Problem += ", because this is a container (" + kind + ")"
			c.Remedy += ", or in a container with all privileges and cgroups of its own, like docker run --privileged --cgroupns=private"
		}
		return c
	}
	return c
}

func checkCgroups() provider.Check {
	c := provider.Check{Name: "cgroups"}
	roots, unified, err := cgroupRoots()
	if err != nil {
		c.Problem, c.Remedy = err.Error(), "mount cgroups at "+cgroupMount
		return c
	}
	var have []string
	if unified {
		content, err := os.ReadFile(filepath.Join(cgroupMount, "cgroup.controllers"))
		if err != nil {
			c.Problem = err.Error()
			return c
		}
		have = strings.Fields(string(content))
	} else {
		for _, root := range roots {
			have = append(have, filepath.Base(root))
		}
	}
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !slices.ContainsFunc(have, func(h string) bool { return slices.Contains(strings.Split(h, ","), controller) }) {
			c.Problem = "no controller " + controller
			c.Remedy = "enable it on the kernel's command line: cgroup_enable=" + controller
			if kind := thisHost.container(); kind != "" && kind != "wsl" {
				c.Remedy = "this is a container (" + kind + "): its host has to delegate the controller to it"
			}
		}
	}
	return c
}

func checkOverlay(h host) provider.Check {
	c := provider.Check{Name: "overlay file system"}
	if slices.Contains(h.words("/proc/filesystems"), "overlay") {
		return c
	}
	output, err := exec.Command("modprobe", "overlay").CombinedOutput()
	switch {
	case err == nil:
	case errors.Is(err, exec.ErrNotFound):
		c.Problem = "the module overlay is not loaded, and there is no modprobe to load it"
		c.Remedy = "apt-get install kmod"
	case os.Geteuid() != 0:
		// Root may load it, so nothing is known to be wrong yet.
	default:
		c.Problem = "the kernel cannot load the module overlay: " + lastLines(string(output), 1)
		c.Remedy = "boot a kernel that has it: Debian's and Ubuntu's have it; after a kernel upgrade, reboot to get its modules"
	}
	return c
}

const (
	// What a control plane with a node watches and holds open.
	neededInstances, neededWatches, neededFiles = 64, 8192, 8192
)

// checkLimits looks for limits that end kubelets and containerd with "too many open
// files" later. most is how many files root may open.
func checkLimits(h host, most uint64) provider.Check {
	c := provider.Check{Name: "limits"}
	for name, need := range map[string]int{"fs.inotify.max_user_instances": neededInstances, "fs.inotify.max_user_watches": neededWatches} {
		words := h.words("/proc/sys", strings.ReplaceAll(name, ".", "/"))
		if len(words) == 0 {
			continue
		}
		if have, err := strconv.Atoi(words[0]); err == nil && have < need {
			c.Problem = fmt.Sprintf("%s is %d, %d needed", name, have, need)
			c.Remedy = fmt.Sprintf("sudo sysctl -w %s=%d", name, 8*need)
		}
	}
	if most < neededFiles {
		c.Problem = fmt.Sprintf("a process may open %d files, %d needed", most, neededFiles)
		c.Remedy = "ulimit -Hn 65536, as root; /etc/security/limits.conf keeps it"
	}
	return c
}

// openFiles is how many files a process of root may come to open.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return neededFiles // nothing is known to be wrong
	}
	return limit.Max
}
