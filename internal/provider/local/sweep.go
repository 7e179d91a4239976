package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sweep ends what containerd leaves when it ends: the shims that serve the
// sockets of our nodes, with their containers, and mounts below our folders.
func sweep(socketDir string) error {
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range processes {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		arguments := strings.Split(string(content), "\x00")
		address := slices.Index(arguments, "-address") + 1
		if !strings.HasPrefix(filepath.Base(arguments[0]), "containerd-shim") || address == 0 || address >= len(arguments) ||
			!strings.HasPrefix(arguments[address], socketDir+"/") {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			return err
		}
		endFamily(pid)
	}
	return errors.Join(unmountBelow(socketDir), removeDeadSockets())
}

// shimSockets is where every containerd of the machine has its shims' sockets,
// wherever its state is. Their names are hashes: nothing in them tells whose
// they are.
const shimSockets = "/run/containerd/s"

// removeDeadSockets removes the sockets of shims that were killed, by us or
// with everything else in a power failure. Nobody can use a socket that
// refuses connections.
func removeDeadSockets() error {
	sockets, err := filepath.Glob(shimSockets + "/*")
	if err != nil {
		return err
	}
	var problems []error
	for _, socket := range sockets {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			connection.Close()
		}
		if errors.Is(err, unix.ECONNREFUSED) {
			problems = append(problems, os.Remove(socket))
		}
	}
	return errors.Join(problems...)
}

// endFamily kills a process and its children, and waits until they are gone:
// they hold mounts and cgroups.
func endFamily(pid int) {
	family := []int{pid}
	if content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)); err == nil {
		for _, child := range strings.Fields(string(content)) {
			if id, err := strconv.Atoi(child); err == nil {
				family = append(family, id)
			}
		}
	}
	for _, member := range slices.Backward(family) { // containers before their shim
		unix.Kill(member, unix.SIGKILL) //nolint:errcheck // gone already is as good
	}
	for _, member := range family {
		for range 50 {
			// A dead process that nobody reaps holds nothing.
			if link, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", member)); err != nil || link == "" {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// unmountBelow unmounts everything below a folder, the deepest first.
func unmountBelow(folder string) error {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var mounts []string
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			// Blanks are escaped there (proc_pid_mountinfo(5)).
			if path := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(fields[4]); strings.HasPrefix(path, folder+"/") {
				mounts = append(mounts, path)
			}
		}
	}
	var problems []error
	for _, mount := range slices.Backward(mounts) {
		err := unix.Unmount(mount, 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			err = unix.Unmount(mount, unix.MNT_DETACH)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			problems = append(problems, fmt.Errorf("unmount %s: %w", mount, err))
		}
	}
	return errors.Join(problems...)
}
