package local

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRemoveEmptyFoldersSparesOthersFiles(t *testing.T) {
	root := t.TempDir()
	empty, used := filepath.Join(root, "empty"), filepath.Join(root, "used")
	for _, folder := range []string{filepath.Join(empty, "a", "b"), filepath.Join(used, "a", "b")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(used, "a", "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	removeEmptyFolders(empty)
	removeEmptyFolders(used)
	removeEmptyFolders(filepath.Join(root, "missing"))
	if exists(empty) {
		t.Error("empty folders are still there")
	}
	if !exists(file) {
		t.Error("somebody's file is gone")
	}
}
