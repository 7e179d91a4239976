package mirror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/fault"
)

// A mirror that another Terraform or OpenTofu has made, packed or not, serves both.
func TestTheRealPluginOfAMirror(t *testing.T) {
	for name, plugin := range map[string]string{
		"packed by Terraform":   packed(registries[0]),
		"packed by OpenTofu":    packed(registries[1]),
		"unpacked by Terraform": filepath.Join(unpacked(registries[0]), "terraform-provider-digitalocean_v"+Version),
		"unpacked by OpenTofu":  filepath.Join(unpacked(registries[1]), "terraform-provider-digitalocean_v"+Version),
	} {
		t.Run(name, func(t *testing.T) {
			real, folder := t.TempDir(), t.TempDir()
			write(t, filepath.Join(real, plugin))
			t.Setenv(Variable, real)
			cliConfig, err := Install(folder)
			if err != nil {
				t.Fatal(err)
			}
			_, below, _ := strings.Cut(plugin, string(filepath.Separator))
			for _, registry := range registries {
				got, err := os.ReadFile(filepath.Join(folder, "mirror", registry, below))
				if err != nil || string(got) != "the plugin" {
					t.Errorf("from %s comes %q, %v", registry, got, err)
				}
			}
			text, err := os.ReadFile(cliConfig)
			if err != nil || !strings.Contains(string(text), filepath.Join(folder, "mirror")) || strings.Contains(string(text), "direct") {
				t.Errorf("the CLI configuration is\n%s, %v", text, err)
			}
		})
	}
}

// Tests that would run without the plugin that was asked for do not run at all.
func TestAMirrorWithoutThePlugin(t *testing.T) {
	other := strings.NewReplacer(Version, "2.0.0")
	for name, plugin := range map[string]string{
		"empty":            "",
		"another version":  other.Replace(packed(registries[0])),
		"another platform": strings.Replace(packed(registries[0]), platform, "plan9_mips", 1),
		"another plugin":   "registry.terraform.io/hashicorp/random/terraform-provider-random_" + Version + "_" + platform + ".zip",
	} {
		t.Run(name, func(t *testing.T) {
			real := t.TempDir()
			if plugin != "" {
				write(t, filepath.Join(real, plugin))
			}
			t.Setenv(Variable, real)
			_, err := Install(t.TempDir())
			want := Variable + " names " + real + ", which has no digitalocean/digitalocean " + Version + " for " + platform
			if err == nil || err.Error() != want || !strings.Contains(fault.Hint(err), "terraform providers mirror -platform="+platform+" "+real) {
				t.Errorf("got %v, hint %q", err, fault.Hint(err))
			}
		})
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("the plugin"), 0o755); err != nil {
		t.Fatal(err)
	}
}
