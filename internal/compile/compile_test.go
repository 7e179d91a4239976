package compile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/source"
)

func TestRecompilesForChangedSources(t *testing.T) {
	module := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(module, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hash := func() string {
		t.Helper()
		h, err := hashSources(module)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	write("main.go", "package main")
	write("go.sum", "1")
	first := hash()
	write("main_test.go", "package main")
	if hash() != first {
		t.Error("a test counts as source")
	}
	write("go.sum", "2")
	if hash() == first {
		t.Error("another go.sum does not count")
	}
}

// The version in the code names the folder of its programs, so that another
// version of BuildKit is compiled when kube/ asks for one.
func TestBuildKitVersionIsThatOfTheModule(t *testing.T) {
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "kube", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), "github.com/moby/buildkit "+BuildKitVersion+" ") {
		t.Errorf("kube/go.mod requires another BuildKit than %s", BuildKitVersion)
	}
}
