package local

import (
	"os"
	"strings"
	"testing"
)

func TestCheckContainer(t *testing.T) {
	const (
		plain  = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:5 / /proc rw - proc proc rw\n"
		sys    = "24 23 0:5 /sys /proc/sys ro,relatime - proc proc rw\n"
		group2 = "25 22 0:6 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"
		group1 = "25 22 0:6 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
	)
	for name, test := range map[string]struct {
		files           map[string]string
		problem, remedy string
	}{
		"a machine":               {map[string]string{"/proc/self/mountinfo": plain}, "", ""},
		"a machine with v1":       {map[string]string{"/proc/self/mountinfo": plain + group1}, "", ""},
		"Docker":                  {map[string]string{"/proc/self/mountinfo": plain + sys + group2, "/.dockerenv": ""}, "/proc/sys is read-only, because this is a container (docker)", "--privileged"},
		"Podman":                  {map[string]string{"/proc/self/mountinfo": plain + group2, "/run/.containerenv": ""}, "/sys/fs/cgroup is read-only, because this is a container (podman)", "privileges"},
		"LXC":                     {map[string]string{"/proc/self/mountinfo": plain + sys, "/run/systemd/container": "lxc\n"}, "(lxc)", "the machine itself"},
		"LXC without systemd":     {map[string]string{"/proc/self/mountinfo": plain + sys, "/proc/1/environ": "PATH=/bin\x00container=lxc\x00"}, "(lxc)", "the machine itself"},
		"WSL, which may change":   {map[string]string{"/proc/self/mountinfo": plain, "/run/systemd/container": "wsl\n"}, "", ""},
		"something that is other": {map[string]string{"/proc/self/mountinfo": plain + sys}, "/proc/sys is read-only", "the machine itself"},
	} {
		told(t, name, checkContainer(fakeHost(t, test.files)), test.problem, test.remedy)
	}
}

// A module that is not loaded, a kernel that has none and a tool that is not
// installed are three things, and take three different lines.
func TestCheckOverlayTellsModuleKernelAndToolApart(t *testing.T) {
	for name, test := range map[string]struct {
		filesystems, modprobe string
		problem, remedy       string
	}{
		"loaded":               {"nodev\tproc\nnodev\toverlay\n", "", "", ""},
		"loaded when asked":    {"nodev\tproc\n", "exit 0", "", ""},
		"no modprobe":          {"nodev\tproc\n", "", "there is no modprobe to load it", "apt-get install kmod"},
		"the kernel has none":  {"nodev\tproc\n", "echo 'modprobe: FATAL: Module overlay not found' >&2; exit 1", "the kernel cannot load the module overlay: modprobe: FATAL", "boot a kernel that has it"},
		"another's name in it": {"nodev\toverlayfs2\n", "", "there is no modprobe", "apt-get install kmod"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv("PATH", folder)
			if test.modprobe != "" {
				if err := os.WriteFile(folder+"/modprobe", []byte("#!/bin/sh\n"+test.modprobe+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			check := checkOverlay(fakeHost(t, map[string]string{"/proc/filesystems": test.filesystems}))
			if !strings.Contains(check.Problem, test.problem) || !strings.Contains(check.Remedy, test.remedy) || (check.Problem == "") != (test.problem == "") {
				t.Errorf("got %+v", check)
			}
		})
	}
}

func TestCheckLimits(t *testing.T) {
	const instances, watches = "/proc/sys/fs/inotify/max_user_instances", "/proc/sys/fs/inotify/max_user_watches"
	for name, test := range map[string]struct {
		instances, watches string
		files              uint64
		problem, remedy    string
	}{
		"Debian's own":  {"128\n", "65536\n", 1 << 20, "", ""},
		"few instances": {"16\n", "65536\n", 1 << 20, "fs.inotify.max_user_instances is 16, 64 needed", "sysctl -w fs.inotify.max_user_instances=512"},
		"few watches":   {"128\n", "1024\n", 1 << 20, "fs.inotify.max_user_watches is 1024", "sysctl -w fs.inotify.max_user_watches=65536"},
		"few files":     {"128\n", "65536\n", 1024, "may open 1024 files", "ulimit -Hn"},
	} {
		h := fakeHost(t, map[string]string{instances: test.instances, watches: test.watches})
		told(t, name, checkLimits(h, test.files), test.problem, test.remedy)
	}
	told(t, "a kernel without inotify", checkLimits(fakeHost(t, nil), 1<<20), "", "")
}
