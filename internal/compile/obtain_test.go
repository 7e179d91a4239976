package compile_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/compile"
	"berth/internal/fault"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/publish"
	"berth/internal/registrytest"
)

// What a release has is taken, and only what it does not have compiled. Both
// end in the same file.
func TestObtainTakesWhatAReleaseHas(t *testing.T) {
	one, two := registrytest.Hello(t), registrytest.Hello(t)
	two.Name, two.Title = "two", "Two v2"
	of := registrytest.Publish(t, registrytest.Start(t)+"/berth", publish.List{Programs: []compile.Program{one, two}})
	folder := t.TempDir()
	path := os.Getenv("PATH")
	obtain := func(p compile.Program, release *prebuilt.Release) (string, error) {
		file := filepath.Join(folder, p.Name+"-"+p.Sources)
		if err := p.Obtain(t.Context(), release, file, progress.Discard); err != nil {
			return "", err
		}
		output, err := exec.Command(file).CombinedOutput()
		return string(output), err
	}

	t.Setenv("PATH", t.TempDir()) // there is no Go
	for _, p := range []compile.Program{one, two} {
		if said, err := obtain(p, prebuilt.New(of)); err != nil || said != "hello" {
			t.Errorf("%s: %q, %v", p.Name, said, err)
		}
	}
	changed := one
	changed.Sources = "changed"
	_, err := obtain(changed, prebuilt.New(of))
	if err == nil || !strings.Contains(err.Error(), "no Go") || !strings.Contains(fault.Hint(err), "go.dev") {
		t.Errorf("without Go: %v, hint %q", err, fault.Hint(err))
	}
	t.Setenv("PATH", path)
	for _, release := range []*prebuilt.Release{prebuilt.New(of), nil} {
		if said, err := obtain(changed, release); err != nil || said != "hello" {
			t.Errorf("compiled: %q, %v", said, err)
		}
		changed.Sources = "changed again"
	}
}
