package scaffold

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatStaysOutOfGit(t *testing.T) {
	for _, test := range []struct {
		name, before, after string
		repository          bool
	}{
		{"a repository without the file", "", "/.env\n", true},
		{"no repository", "", "", false},
		{"one that ignores it", "*.pyc\n.env\r\nx\n", "*.pyc\n.env\r\nx\n", true},
		{"with all that begin so", ".env*\n", ".env*\n", true},
		{"another name", ".environment\n.env.local", ".environment\n.env.local\n/.env\n", true},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Dockerfile"), "FROM a\nEXPOSE 80\n")
		write(t, filepath.Join(dir, ".env"), "TOKEN=x\n")
		if test.repository {
			write(t, filepath.Join(dir, ".git", "config"), "")
		}
		if test.before != "" {
			write(t, filepath.Join(dir, ".gitignore"), test.before)
		}
		d, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(false); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(filepath.Join(dir, ".gitignore"))
		if string(got) != test.after {
			t.Errorf("%s: got %q", test.name, got)
		}
	}
}
