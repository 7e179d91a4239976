package dashboard

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Open opens an address in the browser of the user who called berth. It returns
// once the browser was started; forget removes its temporary files.
//
// Other users can see the command line of a process on most machines. So the
// browser is given a file that only its owner can read and that redirects to the
// address.
func Open(address string, environ []string) (forget func(), err error) {
	forget = func() {}
	program := "xdg-open"
	switch runtime.GOOS {
	case "darwin":
		program = "open"
	case "linux":
		if !slices.ContainsFunc(environ, func(v string) bool {
			return strings.HasPrefix(v, "DISPLAY=") || strings.HasPrefix(v, "WAYLAND_DISPLAY=")
		}) {
			return forget, errors.New("there is no screen here")
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return forget, err
	}
	folder, err := os.MkdirTemp("", "berth-dashboard-")
	if err != nil {
		return forget, err
	}
	forget = func() { os.RemoveAll(folder) } //nolint:errcheck // it is a temporary one
	file := filepath.Join(folder, "open.html")
	page := fmt.Sprintf(`<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=%s"><title>berth dashboard</title>`, address)
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		return forget, err
	}
	command := exec.Command(path, file)
	command.Env = slices.Clone(environ)
	if user := caller(environ); user != nil {
		// A browser does not run as root, and this one is not root's.
		for _, name := range []string{folder, file} {
			if err := os.Chown(name, int(user.Uid), int(user.Gid)); err != nil {
				return forget, err
			}
		}
		if known, err := osuser.LookupId(strconv.Itoa(int(user.Uid))); err == nil {
			command.Env = append(command.Env, "HOME="+known.HomeDir, "USER="+known.Username, "LOGNAME="+known.Username)
		}
		command.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	}
	if err := command.Start(); err != nil {
		return forget, err
	}
	go command.Wait() //nolint:errcheck // the address has been printed, too
	return forget, nil
}

// caller is who became root by sudo; nil where nobody did.
func caller(environ []string) *syscall.Credential {
	ids := map[string]uint32{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if id, err := strconv.ParseUint(value, 10, 32); err == nil {
			ids[name] = uint32(id)
		}
	}
	uid, gid := ids["SUDO_UID"], ids["SUDO_GID"]
	if os.Geteuid() != 0 || uid == 0 {
		return nil
	}
	return &syscall.Credential{Uid: uid, Gid: gid}
}
