package local

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/internal/config"
	"berth/internal/provider"
)

// told checks that a problem and its remedy say something, or that there is none.
func told(t *testing.T, name string, c provider.Check, problem, remedy string) {
	t.Helper()
	if (c.Problem == "") != (problem == "") || !strings.Contains(c.Problem, problem) || !strings.Contains(c.Remedy, remedy) || (c.Remedy == "") != (c.Problem == "") {
		t.Errorf("%s: got %+v, want %q and %q", name, c, problem, remedy)
	}
	if strings.Contains(c.Problem+c.Remedy, "\n") {
		t.Errorf("%s is more than one line: %+v", name, c)
	}
}

func TestCheckSystem(t *testing.T) {
	for _, test := range []struct {
		release         string
		apt             bool
		problem, remedy string
	}{
		{"PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_ID=\"13\"\n", true, "", ""},
		{"PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nID=debian\n", true, "", ""},
		{"PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nID=ubuntu\nVERSION_ID=\"24.04\"\n", true, "", ""},
		{"PRETTY_NAME='Linux Mint 22'\nID=linuxmint\nID_LIKE='ubuntu debian'\nVERSION_ID=22\n", true, "", ""},
		{"PRETTY_NAME=\"Debian GNU/Linux 11 (bullseye)\"\nID=debian\nVERSION_ID=\"11\"\n", true, "the containerd of Debian GNU/Linux 11 (bullseye) is too old", "Debian 12"},
		{"PRETTY_NAME=\"Ubuntu 20.04.6 LTS\"\nID=ubuntu\nVERSION_ID=\"20.04\"\n", true, "the containerd of Ubuntu 20.04.6 LTS is too old", "Ubuntu 22.04"},
		{"NAME=\"Fedora Linux\"\nPRETTY_NAME=\"Fedora Linux 43 (Server Edition)\"\nID=fedora\nVERSION_ID=43\n", false, "Fedora Linux 43 (Server Edition) has no apt-get", "run it on Debian or Ubuntu"},
		{"PRETTY_NAME=\"Arch Linux\"\nID=arch\n", false, "Arch Linux has no apt-get", "Debian or Ubuntu"},
		{"PRETTY_NAME=\"Alpine Linux v3.22\"\nID=alpine\nVERSION_ID=3.22.1\n", false, "Alpine Linux v3.22 has no apt-get", "Debian or Ubuntu"},
		{"", false, "this system has no apt-get", "Debian or Ubuntu"},
		{"", true, "", ""},
	} {
		folder := t.TempDir()
		t.Setenv("PATH", folder)
		if test.apt {
			if err := os.WriteFile(filepath.Join(folder, "apt-get"), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		files := map[string]string{}
		if test.release != "" {
			files["/etc/os-release"] = test.release
		}
		told(t, test.release, checkSystem(fakeHost(t, files)), test.problem, test.remedy)
	}
}

func TestCheckFolders(t *testing.T) {
	const root = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	state, cache := layout{state: "/var/lib/berth/local"}.state, "/var/cache/berth"
	for name, test := range map[string]struct {
		mounts, state   string
		problem, remedy string
	}{
		"plain":                    {root, state, "", ""},
		"/tmp is noexec":           {root + "30 22 0:40 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n", state, "", ""},
		"/var is noexec":           {root + "30 22 8:2 / /var rw,nosuid,noexec shared:2 - ext4 /dev/sda2 rw\n", state, "/var is mounted noexec, and programs run from /var/lib/berth/local", "remount,exec /var"},
		"/var/cache is noexec":     {root + "30 22 8:2 / /var/cache rw,noexec - ext4 /dev/sda2 rw\n", state, "programs run from /var/cache/berth", "XDG_CACHE_HOME"},
		"another folder's name":    {root + "30 22 8:2 / /var/lib/ber rw,noexec - ext4 /dev/sda2 rw\n", state, "", ""},
		"mounted over":             {root + "30 22 8:2 / /var rw,noexec - ext4 /dev/sda2 rw\n31 22 8:3 / /var rw - ext4 /dev/sda3 rw\n", state, "", ""},
		"a read-only /var":         {root + "30 22 8:2 / /var ro,relatime - ext4 /dev/sda2 ro\n", state, "/var is mounted read-only", "XDG_STATE_HOME"},
		"a read-only root":         {"22 1 8:1 / / ro - squashfs /dev/sda1 ro\n", state, "/ is mounted read-only", "XDG_STATE_HOME"},
		"a read-only /usr":         {root + "30 22 8:2 / /usr ro - ext4 /dev/sda2 ro\n", state, "", ""},
		"a container's root":       {"22 1 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a\n", state, "is overlay, which cannot hold the layers of containers", "ext4"},
		"NFS":                      {root + "30 22 0:51 / /var/lib rw - nfs4 server:/var rw\n", state, "is nfs4", "XDG_STATE_HOME"},
		"Windows' disk, in WSL":    {root + "30 22 0:52 / /mnt/c rw - 9p C:\\134 rw\n", "/mnt/c/state/berth/local", "is 9p", "XDG_STATE_HOME"},
		"a name with a space":      {root + "30 22 8:2 / /media/my\\040disk rw,noexec - ext4 /dev/sda2 rw\n", "/media/my disk/berth/local", "/media/my disk is mounted noexec", "remount"},
		"a name with a colon":      {root, "/srv/a:b/berth/local", "a colon or a comma", "XDG_STATE_HOME"},
		"a path that is too long":  {root, "/srv/" + strings.Repeat("a", 60) + "/berth/local", "too long a path", "shorter"},
		"a system without mounts?": {"", state, "", ""},
	} {
		p := &Provider{layout: layout{test.state, cache}}
		told(t, name, p.checkFolders(fakeHost(t, map[string]string{"/proc/self/mountinfo": test.mounts})), test.problem, test.remedy)
	}
}

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

// An address in the network has no route in the main table where it is alone.
func TestCheckNetworkSeesAddresses(t *testing.T) {
	for address, problem := range map[string]string{
		"10.118.3.2/32": "in use: 10.118.3.2 by lo",
		"10.118.7.1/24": "in use: 10.118.7",
		"10.119.0.1/16": "",
		"10.0.0.1/8":    "",
	} {
		newSpace(t).in(t, func() error {
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			parsed, err := netlink.ParseAddr(address)
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(lo, parsed); err != nil {
				return err
			}
			p := &Provider{network: network{netip.MustParsePrefix("10.118.0.0/16")}}
			remedy := ""
			if problem != "" {
				remedy = "local.network"
			}
			told(t, address, p.checkNetwork(), problem, remedy)
			return nil
		})
	}
}

// Hardened machines give root a umask that hides what others have to read.
func TestRootsUmaskHidesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("run as root")
	}
	before := unix.Umask(0o077)
	defer unix.Umask(before)
	newProvider(config.Local{}, layout{t.TempDir(), t.TempDir()}, network{})
	if got := unix.Umask(0o077); got != 0o022 {
		t.Errorf("the umask is %04o", got)
	}
}
