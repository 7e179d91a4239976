package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

// Where systemd is process 1 the cluster runs in a slice of its own, and comes
// back after a reboot. The supervisor and all that it starts are in a scope:
// nobody but the supervisors themselves watches over them, and the death of one
// ends nothing. The unit has no process. Its start brings back what ran, and
// its stop, when the machine stops, ends pods in order, before the scope ends.
const (
	unitName = "berth.service"
	unitFile = "/etc/systemd/system/" + unitName
	slice    = "berth.slice"
)

// systemd is this machine's, if it has one.
type systemd struct {
	host
	// control runs systemctl.
	control func(ctx context.Context, arguments ...string) error
}

var thisSystemd = systemd{thisHost, func(ctx context.Context, arguments ...string) error {
	return run(ctx, "systemctl", arguments...)
}}

// scoped is a command line that runs a command in a scope of berth's slice. The
// scope ends after the unit when the machine stops.
func (s systemd) scoped(command []string) []string {
	if !s.present() {
		return command
	}
	return append([]string{"systemd-run", "--quiet", "--scope", "--collect", "--slice=" + slice,
		"--property=Before=" + unitName, "--description=Kubernetes on this machine, by Berth", "--"}, command...)
}

// enable has systemd bring the cluster back.
func (s systemd) enable(ctx context.Context, l layout) error {
	if !s.present() {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	text, err := renderUnit(program, l, os.Getenv("PATH"))
	if err != nil {
		return err
	}
	file := s.path(unitFile)
	if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, text) {
		if err := replaceFile(file, text, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", unitFile, err)
		}
		if err := s.control(ctx, "daemon-reload"); err != nil {
			return err
		}
	}
	if err := s.control(ctx, "enable", "--quiet", unitName); err != nil {
		return err
	}
	// It is active from now on, so that stopping the machine stops it. What runs
	// is left alone. A network that never gets online is nothing to wait for.
	return s.control(ctx, "start", "--no-block", unitName)
}

var unit = template.Must(template.New("unit").Parse(`# Made by berth up, removed by berth down --purge.
[Unit]
Description=Kubernetes on this machine, by Berth
Wants=network-online.target
After=network-online.target nftables.service netfilter-persistent.service ufw.service firewalld.service docker.service
RequiresMountsFor={{.Program}} {{.State}} {{.Cache}}

[Service]
Type=oneshot
RemainAfterExit=yes
Slice={{.Slice}}
Environment={{.Environment}}
ExecStart={{.Program}} boot
ExecStop={{.Program}} halt
TimeoutStartSec=infinity
TimeoutStopSec=5min

[Install]
WantedBy=multi-user.target
`))

// renderUnit is the unit's text for a program, with the folders and the PATH
// that berth up had, by which boot finds the same cluster.
func renderUnit(program string, l layout, path string) ([]byte, error) {
	state, cache := filepath.Dir(filepath.Dir(l.state)), filepath.Dir(l.cache)
	for _, text := range []string{program, state, cache, path} {
		if strings.ContainsAny(text, "\n\r\x00") {
			return nil, fmt.Errorf("%q has a line break, which a unit cannot hold", text)
		}
	}
	var text bytes.Buffer
	err := unit.Execute(&text, map[string]string{
		"Slice":   slice,
		"Program": unitWord(program), "State": unitWord(l.state), "Cache": unitWord(l.cache),
		"Environment": strings.Join([]string{unitWord("PATH=" + path), unitWord("XDG_STATE_HOME=" + state), unitWord("XDG_CACHE_HOME=" + cache)}, " "),
	})
	return text.Bytes(), err
}

// unitWord quotes a word of a unit's line (systemd.syntax(7)); % begins a
// specifier.
func unitWord(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(text) + `"`
}

// remove takes the unit away, and the slice, which stays when it is empty.
func (s systemd) remove(ctx context.Context) error {
	if !exists(s.path(unitFile)) {
		return nil
	}
	if err := s.disable(ctx); err != nil {
		return err
	}
	if s.present() {
		if err := s.control(ctx, "stop", slice); err != nil {
			return err
		}
	}
	if err := os.Remove(s.path(unitFile)); err != nil {
		return fmt.Errorf("remove the unit: %w", err)
	}
	if !s.present() {
		return nil
	}
	return s.control(ctx, "daemon-reload")
}

// disable leaves the cluster down after a reboot.
func (s systemd) disable(ctx context.Context) error {
	if !s.present() || !exists(s.path(unitFile)) {
		return nil
	}
	return s.control(ctx, "disable", "--quiet", "--now", unitName)
}

// present reports whether systemd is process 1 (sd_booted(3)) and its commands
// are there.
func (s systemd) present() bool {
	for _, program := range []string{"systemctl", "systemd-run"} {
		if _, err := exec.LookPath(program); err != nil {
			return false
		}
	}
	return exists(s.path("/run/systemd/system"))
}
