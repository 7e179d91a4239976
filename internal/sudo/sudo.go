// Package sudo starts a command again as root. Kubernetes on this machine takes
// root, and a user who may become root is asked for it once, before anything is
// done.
package sudo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"berth/internal/fault"
)

// preserved are the variables that root gets as the caller has them: what the
// network takes, how Go downloads, and what the terminal and the screen can show.
var preserved = []string{
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOFLAGS",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME",
	"TERM", "COLORTERM", "NO_COLOR", "CI",
	// Where the caller's browser is.
	"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
}

// Restart replaces this process by the same command as root, and returns only if
// that fails. also names variables to preserve besides the usual ones. Without a
// terminal sudo cannot ask for a password.
func Restart(args, also, environ []string, terminal bool) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the command itself: %w", err)
	}
	program, err := exec.LookPath("sudo")
	if err != nil {
		hint := "run the same command as root"
		for _, other := range []string{"doas", "run0"} {
			if _, err := exec.LookPath(other); err == nil {
				hint += ": " + strings.Join(append([]string{other, self}, args...), " ")
				break
			}
		}
		return fault.WithHint(errors.New("this needs root, and there is no sudo here"), "%s", hint)
	}
	if !terminal && exec.Command(program, "--non-interactive", "true").Run() != nil {
		return fault.WithHint(errors.New("this needs root, and sudo cannot ask for a password without a terminal"),
			"run the same command as root: sudo %s", strings.Join(append([]string{self}, args...), " "))
	}
	if err := syscall.Exec(program, command(self, args, also), environ); err != nil {
		return fmt.Errorf("start sudo: %w", err)
	}
	return nil
}

// command is sudo's command line. Variables go by name, as their values may be
// secret and a command line is not.
func command(self string, args, also []string) []string {
	names := append(slices.Clone(preserved), also...)
	slices.Sort(names)
	line := []string{"sudo", "--preserve-env=" + strings.Join(slices.Compact(names), ",")}
	line = append(line, "--prompt=[berth] Kubernetes on this machine needs root; password of %p: ", "--", self)
	return append(line, args...)
}
