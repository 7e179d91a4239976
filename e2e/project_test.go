//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// project is a folder with the berth.yaml of this repository, changed as a
// developer would change it.
func project(t *testing.T, change func(config object)) string {
	t.Helper()
	folder := t.TempDir()
	content, err := os.ReadFile(filepath.Join(root, "berth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config object
	if err := yaml.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	change(config)
	// Paths in a berth.yaml are relative to its folder.
	for _, key := range []string{"dockerfile", "context"} {
		path := config[key].(string)
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		if config[key], err = filepath.Rel(folder, path); err != nil {
			t.Fatal(err)
		}
	}
	if content, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "berth.yaml"), string(content))
	return folder
}

// values lays Helm values over those of production.
func values(config object, values object) {
	environment := config["environments"].(object)["production"].(object)
	environment["values"] = values
}

// broken makes the application one that does not work, in the way that mode
// names; see testdata/broken.
func broken(config object, mode string) {
	folder := filepath.Join(root, "e2e", "testdata", "broken")
	config["dockerfile"] = filepath.Join(folder, "Dockerfile")
	config["context"] = folder
	config["env"] = object{"MODE": mode}
}

// source copies what the application's image is built from.
func source(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "cmd/realworld", "internal/fault", "internal/realworld", "logline"} {
		from := filepath.Join(root, name)
		err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			to := filepath.Join(folder, relative)
			if entry.IsDir() {
				return os.MkdirAll(to, 0o755)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			return os.WriteFile(to, content, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
