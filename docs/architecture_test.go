package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The map of the repository has every program and package, and none that is gone.
func TestArchitectureNamesEveryFolder(t *testing.T) {
	page, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## Where things live")
	tree, _, found := strings.Cut(rest, "\n## ")
	if !found {
		t.Fatal("architecture.md has no section about where things live")
	}
	named := map[string]bool{}
	for _, folder := range regexp.MustCompile(`\b(cmd|internal)/\w+`).FindAllString(tree, -1) {
		named[folder] = true
		if _, err := os.Stat(filepath.Join(root, folder)); err != nil {
			t.Errorf("architecture.md names %s, which does not exist", folder)
		}
	}
	for _, pattern := range []string{"cmd/*", "internal/*"} {
		folders, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			if folder, err = filepath.Rel(root, folder); err != nil {
				t.Fatal(err)
			}
			if !named[filepath.ToSlash(folder)] {
				t.Errorf("architecture.md does not name %s", folder)
			}
		}
	}
}
