// Package terraform finds the program that applies berth's infrastructure:
// Terraform or OpenTofu where one is installed, else OpenTofu compiled from its
// Go module, as berth compiles Kubernetes. HashiCorp's and OpenTofu's download
// pages are not needed then, a Go module proxy is enough.
package terraform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/fault"
	"berth/internal/progress"
)

// OpenTofu is compiled in this version. The sum is the module's, as in a go.sum:
// the module is OpenTofu's own and whole, wherever it came from.
const (
	tofuModule  = "github.com/opentofu/opentofu"
	TofuVersion = "v1.12.6"
	tofuSum     = "h1:0VT4P8pMmGcCUnQ9JDrJ+Qg2d35Vzm4FFd/9+H7oF98="
)

// Cache is the folder that berth's commands and tests share for [Program], by the
// XDG base directory specification, and for root by the Filesystem Hierarchy
// Standard.
func Cache() (string, error) {
	if folder := os.Getenv("XDG_CACHE_HOME"); folder != "" {
		return filepath.Join(folder, "berth", "tofu"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/cache/berth/tofu", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the home folder: %w", err)
	}
	return filepath.Join(home, ".cache", "berth", "tofu"), nil
}

// Program returns the path of terraform or tofu on the PATH, or of a tofu below
// the folder cache, which is compiled there at its first use. That takes minutes.
func Program(ctx context.Context, cache string, r progress.Reporter) (string, error) {
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	program := filepath.Join(cache, TofuVersion, "tofu")
	if isProgram(program) {
		return program, nil
	}
	err := progress.Run(r, "Compile OpenTofu", func(step progress.Step) error { return compile(ctx, program, step) })
	if err != nil {
		return "", fault.WithHint(err, "or install one: https://developer.hashicorp.com/terraform/install, https://opentofu.org/docs/intro/install")
	}
	return program, nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o100 != 0
}

// compile builds OpenTofu out of the module's own folder in Go's cache: its go.mod
// replaces a module, which is why "go install" refuses it.
func compile(ctx context.Context, program string, step progress.Step) error {
	folder := filepath.Dir(program)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make a folder for OpenTofu: %w", err)
	}
	// Two at once would take four times as long.
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("lock the folder for OpenTofu: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock the folder for OpenTofu: %w", err)
	}
	if isProgram(program) {
		return nil
	}

	step.Detail("downloading its source")
	output, err := runGo(ctx, folder, "mod", "download", "-json", tofuModule+"@"+TofuVersion)
	if err != nil {
		return fmt.Errorf("download OpenTofu: %w", err)
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(output, &module); err != nil {
		return fmt.Errorf("download OpenTofu: %w", err)
	}
	if module.Sum != tofuSum {
		return fmt.Errorf("the source of OpenTofu %s has the checksum %s, not %s", TofuVersion, module.Sum, tofuSum)
	}
	step.Detail("this takes some minutes, once")
	// A variable of the linker makes it a release instead of a development build.
	_, err = runGo(ctx, module.Dir, "build", "-trimpath", "-ldflags", "-s -w -X "+tofuModule+"/version.dev=no", "-o", program+".new", "./cmd/tofu")
	if err != nil {
		return fmt.Errorf("compile OpenTofu: %w", err)
	}
	// Ready under its name only when it is whole.
	if err := os.Rename(program+".new", program); err != nil {
		return fmt.Errorf("keep OpenTofu: %w", err)
	}
	return nil
}

// runGo runs the go command in a folder, apart from any workspace around it.
func runGo(ctx context.Context, dir string, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "PWD="+dir)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("go %s: %w: %s", arguments[0], err, strings.Join(lines[max(0, len(lines)-3):], "; "))
	}
	return output, err
}
