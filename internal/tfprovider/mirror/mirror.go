// Package mirror puts a plugin where a test's Terraform or OpenTofu looks for
// digitalocean/digitalocean: into a filesystem mirror, named by a CLI configuration of
// the test's own. The registry is never asked. The plugin is the fake, unless
// [Variable] names a mirror that has the real one.
package mirror

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"berth/internal/fault"
)

// Version is the one that the fake passes for, and that a mirror must have.
const Version = "2.99.1"

// Variable names, in the environment of a test, a filesystem mirror with the real plugin,
// as `terraform providers mirror` lays it out. All tests then run with that one.
const Variable = "BERTH_TEST_TERRAFORM_PLUGINS"

// registries are where Terraform and OpenTofu take the plugin to come from. It is the
// same one.
var registries = []string{"registry.terraform.io", "registry.opentofu.org"}

// platform is what Terraform calls this machine.
const platform = runtime.GOOS + "_" + runtime.GOARCH

// Install writes a mirror into a folder: of the plugin in the mirror that [Variable]
// names, or else of the fake, which it compiles. It returns the file to name in
// TF_CLI_CONFIG_FILE. The working folder must be in berth's module, as it is in a test.
func Install(folder string) (cliConfig string, err error) {
	mirror := filepath.Join(folder, "mirror")
	if real := os.Getenv(Variable); real != "" {
		err = link(real, mirror)
	} else {
		err = compile(folder, mirror)
	}
	if err != nil {
		return "", err
	}
	cliConfig = filepath.Join(folder, "terraform.rc")
	text := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	if err := os.WriteFile(cliConfig, []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("write the CLI configuration: %w", err)
	}
	return cliConfig, nil
}

// compile puts the fake into a mirror.
func compile(folder, mirror string) error {
	program := filepath.Join(folder, "terraform-provider-digitalocean_v"+Version)
	build := exec.Command("go", "build", "-o", program, "berth/internal/tfprovider")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the plugin: %w\n%s", err, output)
	}
	for _, registry := range registries {
		target := filepath.Join(mirror, unpacked(registry))
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("make the mirror: %w", err)
		}
		if err := os.Link(program, filepath.Join(target, filepath.Base(program))); err != nil {
			return fmt.Errorf("put the plugin into the mirror: %w", err)
		}
	}
	return nil
}

// link puts the plugin of another mirror into a mirror, for Terraform and for OpenTofu,
// whichever of them has made the other one.
func link(from, mirror string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return fmt.Errorf("look into the mirror: %w", err)
	}
	for _, layout := range []func(registry string) string{packed, unpacked} {
		for _, source := range registries {
			plugin := filepath.Join(from, layout(source))
			if _, err := os.Stat(plugin); err != nil {
				continue
			}
			for _, registry := range registries {
				target := filepath.Join(mirror, layout(registry))
				if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
					return fmt.Errorf("make the mirror: %w", err)
				}
				if err := os.Symlink(plugin, target); err != nil {
					return fmt.Errorf("put the plugin into the mirror: %w", err)
				}
			}
			return nil
		}
	}
	return fault.WithHint(fmt.Errorf("%s names %s, which has no digitalocean/digitalocean %s for %s", Variable, from, Version, platform),
		"fill it from a folder with terraform/digitalocean: terraform providers mirror -platform=%s %s", platform, from)
}

// packed and unpacked are where a mirror has the plugin of a registry: as an archive, and
// as a folder.
// https://developer.hashicorp.com/terraform/cli/config/config-file#filesystem_mirror
func packed(registry string) string {
	return filepath.Join(registry, "digitalocean", "digitalocean", "terraform-provider-digitalocean_"+Version+"_"+platform+".zip")
}

func unpacked(registry string) string {
	return filepath.Join(registry, "digitalocean", "digitalocean", Version, platform)
}
