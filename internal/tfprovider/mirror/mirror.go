// Package mirror puts the stand-in plugin where a test's Terraform or OpenTofu
// looks for digitalocean/digitalocean: into a filesystem mirror, named by a CLI
// configuration of the test's own. The registry is never asked.
package mirror

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Version is the one that the stand-in passes for.
const Version = "2.99.1"

// registries are where Terraform and OpenTofu take the plugin to come from.
var registries = []string{"registry.terraform.io", "registry.opentofu.org"}

// Install compiles the plugin and writes the mirror into a folder. It returns the
// file to name in TF_CLI_CONFIG_FILE. The working folder must be in berth's
// module, as it is in a test.
func Install(folder string) (cliConfig string, err error) {
	program := filepath.Join(folder, "terraform-provider-digitalocean_v"+Version)
	build := exec.Command("go", "build", "-o", program, "berth/internal/tfprovider")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the plugin: %w\n%s", err, output)
	}
	mirror := filepath.Join(folder, "mirror")
	for _, registry := range registries {
		target := filepath.Join(mirror, registry, "digitalocean", "digitalocean", Version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return "", fmt.Errorf("make the mirror: %w", err)
		}
		if err := os.Link(program, filepath.Join(target, filepath.Base(program))); err != nil {
			return "", fmt.Errorf("put the plugin into the mirror: %w", err)
		}
	}
	cliConfig = filepath.Join(folder, "terraform.rc")
	text := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	if err := os.WriteFile(cliConfig, []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("write the CLI configuration: %w", err)
	}
	return cliConfig, nil
}
