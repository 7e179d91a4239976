package image

import (
	"os"
	"path/filepath"
	"testing"

	"berth/internal/provider"
)

func TestSourcesAreWhatADockerfileCopies(t *testing.T) {
	folder := contextOf(t, map[string]string{
		"Dockerfile": "FROM go AS build\nCOPY go.mod go.sum ./\nCOPY cmd/x cmd/x\nFROM scratch\nCOPY --from=build /x /x\n",
		"go.mod":     "1", "go.sum": "1", "cmd/x/main.go": "1", "cmd/y/main.go": "1",
		"cmd/x/main_test.go": "1", "cmd/x/testdata/golden": "1",
	})
	b := provider.Build{Name: "x", Dockerfile: filepath.Join(folder, "Dockerfile"), Context: folder}
	sources := func() string {
		t.Helper()
		found, err := Sources(b)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	first := sources()
	for _, test := range []struct {
		file    string
		another bool
	}{
		{"cmd/y/main.go", false}, {"cmd/x/main_test.go", false}, {"cmd/x/testdata/golden", false},
		{"cmd/x/main.go", true}, {"go.sum", true},
	} {
		write(t, filepath.Join(folder, test.file), "2")
		if now := sources(); (now != first) != test.another {
			t.Errorf("a change of %s makes another: %v", test.file, now != first)
		}
		write(t, filepath.Join(folder, test.file), "1")
	}
	b.Args = map[string]string{"POSTGRES": "18"}
	if sources() == first {
		t.Error("other arguments make no other")
	}
	b.Args = nil
	if err := os.Rename(filepath.Join(folder, "cmd/x/main.go"), filepath.Join(folder, "cmd/x/other.go")); err != nil {
		t.Fatal(err)
	}
	if sources() == first {
		t.Error("another name makes no other")
	}
	if err := os.Remove(filepath.Join(folder, "go.sum")); err != nil {
		t.Fatal(err)
	}
	if _, err := Sources(b); err == nil {
		t.Error("a file that is missing is no error")
	}
}
