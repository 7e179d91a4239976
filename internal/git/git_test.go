package git

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestHead(t *testing.T) {
	folder := t.TempDir()
	git := func(arguments ...string) {
		t.Helper()
		command := exec.Command("git", append([]string{"-C", folder, "-c", "user.name=Mira", "-c", "user.email=mira@example.com"}, arguments...)...)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, output)
		}
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, known, dirty bool) {
		t.Helper()
		commit, err := Head(t.Context(), folder)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if (len(commit.Hash) == 40) != known || commit.Dirty != dirty {
			t.Errorf("%s: %+v", what, commit)
		}
	}
	write("main.go", "package main")
	want("no repository", false, false)
	git("init", "--quiet")
	want("no commit", false, false)
	git("add", ".")
	git("commit", "--quiet", "--message", "begin")
	want("as committed", true, false)
	write("main.go", "package other")
	want("changed", true, true)
	git("commit", "--quiet", "--all", "--message", "change")
	write("new.go", "package main")
	want("a new file", true, true)
	write(".gitignore", "new.go\n")
	git("add", ".gitignore")
	git("commit", "--quiet", "--message", "ignore")
	want("an ignored file", true, false)
	t.Setenv("GIT_DIR", t.TempDir())
	want("called by a hook of another repository", true, false)
}
