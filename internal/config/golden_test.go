package config

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", file, diff)
	}
}

// fromTestdata reads a berth.yaml of testdata.
func fromTestdata(t *testing.T, name, dotEnv string) (*Config, error) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return Load(folder(t, map[string]string{File: string(source), ".env": dotEnv}), nil)
}

// said leaves out of a tree what says nothing.
func said(tree map[string]any) map[string]any {
	for key, value := range tree {
		if below, ok := value.(map[string]any); ok && len(said(below)) > 0 {
			continue
		}
		if value == nil || value == "" || value == 0.0 || reflect.ValueOf(value).Kind() == reflect.Map {
			delete(tree, key)
		}
	}
	return tree
}

// The golden files are what berth.yaml means, with all that it left open.
func TestApplications(t *testing.T) {
	for _, name := range []string{"shop", "works"} {
		t.Run(name, func(t *testing.T) {
			c, err := fromTestdata(t, name, "")
			if err != nil {
				t.Fatal(err)
			}
			c.Dir, c.StateDir, c.DotEnv = "", "", nil
			c.Local, c.DigitalOcean, c.Existing = Local{}, DigitalOcean{}, Existing{}
			text, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			var all map[string]any
			if err := json.Unmarshal(text, &all); err != nil {
				t.Fatal(err)
			}
			if text, err = json.MarshalIndent(said(all), "", "  "); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden.json", string(text)+"\n")
		})
	}
}

// Each mistake has a line of its own, with the line where it is.
func TestMistakes(t *testing.T) {
	for _, name := range []string{"mistakes", "kinds", "idle"} {
		t.Run(name, func(t *testing.T) {
			_, err := fromTestdata(t, name, "")
			if !fault.IsUsage(err) {
				t.Fatalf("got %v, want a mistake in the call", err)
			}
			golden(t, name+".golden.txt", err.Error()+"\n")
		})
	}
}
