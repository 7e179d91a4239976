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
)

// machine is what berth found before it changed this machine's settings, so
// that stopping leaves it as it was.
type machine struct {
	// Sysctls by their path below /proc/sys.
	Sysctls map[string]string `json:"sysctls"`
	// Folders that were not there: upstream components make them whatever
	// they are told.
	Folders []string `json:"folders"`
}

// sysctls that berth (the first) and the kubelet (the others) set.
var sysctls = []string{
	"net/ipv4/ip_forward",
	"vm/overcommit_memory", "vm/panic_on_oom",
	"kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

var foreignFolders = []string{
	"/run/containerd", "/run/netns", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods",
	"/opt/cni", "/opt/containerd", "/etc/cni", "/usr/libexec/kubernetes",
}

// prepareMachine records the settings that are about to change, once, and
// changes the ones that are berth's to change.
func prepareMachine(l layout) error {
	if _, err := os.Stat(l.machine()); errors.Is(err, fs.ErrNotExist) {
		found := machine{Sysctls: map[string]string{}}
		for _, name := range sysctls {
			if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
				found.Sysctls[name] = strings.TrimSpace(string(value))
			}
		}
		for _, folder := range foreignFolders {
			if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
				found.Folders = append(found.Folders, folder)
			}
		}
		content, err := json.Marshal(found)
		if err != nil {
			return err
		}
		if err := replaceFile(l.machine(), content, 0o600); err != nil {
			return fmt.Errorf("record this machine's settings: %w", err)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("let this machine forward packets: %w", err)
	}
	return nil
}

// restoreMachine puts back what prepareMachine found.
func restoreMachine(l layout) error {
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
		file := filepath.Join("/proc/sys", name)
		if now, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(now)) == value {
			continue
		}
		if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
			problems = append(problems, fmt.Errorf("restore %s: %w", name, err))
		}
	}
	problems = append(problems, removeResidue(l, found.Folders))
	for _, folder := range found.Folders {
		removeEmptyFolders(folder)
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return os.Remove(l.machine())
}

// residue are files that upstream components leave in folders that they let
// nobody choose: the kubelet its device plugins' socket.
var residue = []string{"/var/lib/kubelet/device-plugins/kubelet.sock"}

// removeResidue removes residue below folders that were not there before, and
// the links that kubelets made to the logs of our pods.
func removeResidue(l layout, folders []string) error {
	var problems []error
	for _, file := range residue {
		if slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(file, folder+"/") }) {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, err)
			}
		}
	}
	const links = "/var/log/containers"
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

// removeEmptyFolders removes folder where nothing but folders is left in it:
// somebody else's files stay.
func removeEmptyFolders(folder string) {
	var folders []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return fs.SkipAll
		}
		folders = append(folders, path)
		return nil
	})
	if err != nil {
		return
	}
	for i := len(folders) - 1; i >= 0; i-- {
		if os.Remove(folders[i]) != nil { // not empty
			return
		}
	}
}
