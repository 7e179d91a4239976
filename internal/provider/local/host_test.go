package local

import (
	"os"
	"path/filepath"
	"testing"
)

// fakeHost is a machine's file system with some of the kernel's files.
func fakeHost(t *testing.T, files map[string]string) host {
	t.Helper()
	h := host(t.TempDir())
	for name, content := range files {
		h.write(t, name, content)
	}
	return h
}

func (h host) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path(name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (h host) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(h.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
