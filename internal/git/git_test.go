package git

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	head, err := Head(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if said, err := Message(t.Context(), folder, head.Hash); err != nil || !strings.HasPrefix(said, "Mira, 20") || !strings.HasSuffix(said, "\n\nbegin") {
		t.Errorf("the commit says %q, %v", said, err)
	}
	for _, unknown := range []string{"", "HEAD", "--output=x", strings.Repeat("0", 40)} {
		if said, err := Message(t.Context(), folder, unknown); err != nil || said != "" {
			t.Errorf("%q says %q, %v", unknown, said, err)
		}
	}
	git("switch", "--quiet", "--create", "feature/x")
	if branch, err := Branch(t.Context(), folder); err != nil || branch != "feature/x" {
		t.Errorf("the folder is on branch %q, %v", branch, err)
	}
	for branch, want := range map[string]string{"feature/x": head.Hash, "feature/y": "", "--all": ""} {
		if tip, err := Tip(t.Context(), folder, branch); err != nil || tip != want {
			t.Errorf("branch %s is at %q, %v; want %q", branch, tip, err, want)
		}
	}
	git("checkout", "--quiet", "--detach")
	if branch, err := Branch(t.Context(), folder); err != nil || branch != "" {
		t.Errorf("a folder on no branch is on %q, %v", branch, err)
	}
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

func TestWhichCommitCameFirst(t *testing.T) {
	folder := t.TempDir()
	git := func(arguments ...string) string {
		t.Helper()
		command := exec.Command("git", append([]string{"-C", folder, "-c", "user.name=Mira", "-c", "user.email=mira@example.com"}, arguments...)...)
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", command, err, output)
		}
		return strings.TrimSpace(string(output))
	}
	commit := func(message string) string {
		git("commit", "--quiet", "--allow-empty", "--message", message)
		return git("rev-parse", "HEAD")
	}
	git("init", "--quiet")
	first := commit("first")
	second := commit("second")
	git("checkout", "--quiet", "-b", "aside", first)
	aside := commit("aside")
	unknown := strings.Repeat("ab", 20)
	for _, test := range []struct {
		what, one, other string
		before           bool
		err              string
	}{
		{"the same", first, first, true, ""},
		{"an ancestor", first, second, true, ""},
		{"a descendant", second, first, false, ""},
		{"another line", aside, second, false, ""},
		{"one that is not here", unknown, second, false, "does not have this commit"},
		{"other that is not here", first, unknown, false, "does not have this commit"},
		{"what git would take for an option", "--all", first, false, "is no commit"},
		{"a name", "aside", first, false, "is no commit"},
	} {
		before, err := Before(t.Context(), folder, test.one, test.other)
		if before != test.before || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, %v", test.what, before, err)
		}
	}
	if _, err := Before(t.Context(), t.TempDir(), first, second); !errors.Is(err, ErrUnknown) {
		t.Errorf("no repository: %v", err)
	}
}
