package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestIgnoredAreBerthsFilesInTheContext(t *testing.T) {
	root := t.TempDir()
	for _, folder := range []string{"shop/src", "a [1]", "#b"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "shop"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, dir, context string
		want               []string
	}{
		{"berth.yaml's folder", "shop", ".", []string{".env", ".s3cfg", "berth.yaml"}},
		{"a folder below it", "shop", "src", nil},
		{"a folder beside it", "shop", "../a [1]", nil},
		{"the folder above it", "shop", "..", []string{"shop/.env", "shop/.s3cfg", "shop/berth.yaml"}},
		{"a link to it", "shop", "../link", []string{".env", ".s3cfg", "berth.yaml"}},
		{"a name with pattern's characters", "a [1]", "..", []string{`a \[1\]/.env`, `a \[1\]/.s3cfg`, `a \[1\]/berth.yaml`}},
		{"a name like a comment", "#b", "..", []string{`\#b/.env`, `\#b/.s3cfg`, `\#b/berth.yaml`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &Config{Dir: filepath.Join(root, test.dir), Context: test.context}
			if got := c.Ignored(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
