package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what berth found before it changed this machine's settings, so
// that stopping leaves it as it was. A list that is missing, rather than empty,
// is one that an earlier version of berth did not make.
type machine struct {
	// Sysctls by their path below /proc/sys.
	Sysctls map[string]string `json:"sysctls"`
	// Folders that were not there: upstream components make them whatever
	// they are told.
	Folders []string `json:"folders"`
	// Controllers that the root hands on to other cgroups (cgroup v2).
	Controllers []string `json:"controllers"`
	// Profiles of AppArmor that containerd would load, and that were there.
	Profiles []string `json:"profiles"`
	// Bridges are the network bridges: other people's containers are on them.
	Bridges []string `json:"bridges"`
}

const ipForward = "net/ipv4/ip_forward"

// sysctls that berth (the first) and the kubelet (the others) set.
var sysctls = []string{
	ipForward,
	"vm/overcommit_memory", "vm/panic_on_oom",
	"kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

var foreignFolders = []string{
	"/run/containerd", "/run/netns", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods",
	"/opt/cni", "/opt/containerd", "/etc/cni", "/usr/libexec/kubernetes",
}

// containerdProfile is the AppArmor profile of containerd's containers, which
// it loads into the kernel and leaves there.
const containerdProfile = "cri-containerd.apparmor.d"

// prepareMachine records the settings that are about to change, once, and
// changes the ones that are berth's to change.
func prepareMachine(h host, l layout) error {
	if _, err := os.Stat(l.machine()); errors.Is(err, fs.ErrNotExist) {
		content, err := json.Marshal(h.look())
		if err != nil {
			return err
		}
		if err := replaceFile(l.machine(), content, 0o600); err != nil {
			return fmt.Errorf("record this machine's settings: %w", err)
		}
	}
	if err := os.WriteFile(h.sysctl(ipForward), []byte("1"), 0o644); err != nil {
		return fmt.Errorf("let this machine forward packets: %w", err)
	}
	return nil
}

// look tells how the machine is now.
func (h host) look() machine {
	found := machine{Sysctls: map[string]string{}, Folders: []string{}, Profiles: []string{}, Bridges: h.bridges()}
	for _, name := range sysctls {
		if value, err := os.ReadFile(h.sysctl(name)); err == nil {
			found.Sysctls[name] = strings.TrimSpace(string(value))
		}
	}
	for _, folder := range foreignFolders {
		if !exists(h.path(folder)) {
			found.Folders = append(found.Folders, folder)
		}
	}
	found.Controllers = h.words(subtreeControl)
	if h.hasProfile() {
		found.Profiles = append(found.Profiles, containerdProfile)
	}
	return found
}

func (h host) sysctl(name string) string { return h.path("/proc/sys", name) }

const (
	subtreeControl = cgroupMount + "/cgroup.subtree_control"
	appArmor       = "/sys/kernel/security/apparmor"
)

func (h host) hasProfile() bool {
	return slices.Contains(h.words(appArmor, "profiles"), containerdProfile)
}

func (h host) bridges() []string {
	names := []string{}
	found, _ := filepath.Glob(h.path("/sys/class/net/*/bridge")) // the pattern is right
	for _, folder := range found {
		names = append(names, filepath.Base(filepath.Dir(folder)))
	}
	return names
}

// restoreMachine puts back what prepareMachine found, except for what somebody
// else has come to need meanwhile.
func restoreMachine(h host, l layout) error {
	content, err := os.ReadFile(l.machine())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var found machine
	if err == nil {
		err = json.Unmarshal(content, &found)
	}
	if err != nil {
		return fmt.Errorf("read this machine's settings: %w", err)
	}
	var problems []error
	for name, value := range found.Sysctls {
		if now, err := os.ReadFile(h.sysctl(name)); err == nil && strings.TrimSpace(string(now)) == value {
			continue
		}
		if name == ipForward && found.Bridges != nil && !subset(h.bridges(), found.Bridges) {
			continue // Docker, or somebody like it, forwards for its containers now
		}
		if err := os.WriteFile(h.sysctl(name), []byte(value), 0o644); err != nil {
			problems = append(problems, fmt.Errorf("restore %s: %w", name, err))
		}
	}
	problems = append(problems, h.takeBackControllers(found.Controllers), h.unloadProfile(found.Profiles))
	problems = append(problems, h.removeResidue(l, found.Folders))
	for _, folder := range found.Folders {
		removeEmptyFolders(h.path(folder))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return os.Remove(l.machine())
}

// takeBackControllers has the root hand on those controllers alone that it did
// before. The kernel refuses where another group has handed one on since.
func (h host) takeBackControllers(before []string) error {
	if before == nil {
		return nil
	}
	var problems []error
	for _, controller := range h.words(subtreeControl) {
		if slices.Contains(before, controller) {
			continue
		}
		err := os.WriteFile(h.path(subtreeControl), []byte("-"+controller), 0o644)
		if err != nil && !errors.Is(err, unix.EBUSY) {
			problems = append(problems, fmt.Errorf("take back cgroup controller %s: %w", controller, err))
		}
	}
	return errors.Join(problems...)
}

// unloadProfile removes containerd's AppArmor profile, unless it was there
// before or another containerd's processes are under it.
func (h host) unloadProfile(before []string) error {
	if before == nil || slices.Contains(before, containerdProfile) || !h.hasProfile() {
		return nil
	}
	processes, _ := filepath.Glob(h.path("/proc/[0-9]*/attr/current")) // the pattern is right
	for _, process := range processes {
		if content, err := os.ReadFile(process); err == nil && strings.HasPrefix(string(content), containerdProfile) {
			return nil
		}
	}
	if err := os.WriteFile(h.path(appArmor, ".remove"), []byte(containerdProfile), 0o644); err != nil {
		return fmt.Errorf("unload the AppArmor profile %s: %w", containerdProfile, err)
	}
	return nil
}

// residue are files that upstream components leave in folders that they let
// nobody choose: the kubelet its device plugins' socket.
var residue = []string{"/var/lib/kubelet/device-plugins/kubelet.sock"}

// removeResidue removes residue below folders that were not there before, and
// the links that kubelets made to the logs of our pods.
func (h host) removeResidue(l layout, folders []string) error {
	var problems []error
	for _, file := range residue {
		if slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(file, folder+"/") }) {
			if err := os.Remove(h.path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, err)
			}
		}
	}
	links := h.path("/var/log/containers")
	entries, err := os.ReadDir(links)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		problems = append(problems, err)
	}
	for _, entry := range entries {
		link := filepath.Join(links, entry.Name())
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, l.podLogs()+"/") {
			problems = append(problems, os.Remove(link))
		}
	}
	return errors.Join(problems...)
}

func subset(some, all []string) bool {
	return !slices.ContainsFunc(some, func(one string) bool { return !slices.Contains(all, one) })
}
