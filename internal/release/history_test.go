package release

import (
	"os/exec"
	"strings"
	"testing"

	"berth/internal/progress"
)

func TestHistoryNamesCommitAndOperator(t *testing.T) {
	_, c := newWorld(t)
	c.config.Dir = t.TempDir()
	git := func(arguments ...string) string {
		t.Helper()
		output, err := exec.Command("git", append([]string{"-C", c.config.Dir, "-c", "user.name=Mira", "-c", "user.email=mira@example.com"}, arguments...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v: %s", arguments[0], err, output)
		}
		return strings.TrimSpace(string(output))
	}
	git("init", "--quiet")
	git("commit", "--quiet", "--allow-empty", "--message", "begin")
	first := git("rev-parse", "HEAD")
	mustDeploy(t, c, "good:1")
	git("commit", "--quiet", "--allow-empty", "--message", "go on")
	second := git("rev-parse", "HEAD")
	c.who = "ann@desk"
	mustDeploy(t, c, "good:2")
	if _, err := c.Rollback(t.Context(), "production", 1, progress.Discard); err != nil {
		t.Fatal(err)
	}
	past, err := c.History(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ commit, who string }{
		{first, "mira@laptop"}, {second, "ann@desk"},
		{first, "ann@desk"}, // what is served again is of the first commit
	} {
		if r := past[i]; r.Commit != want.commit || r.Who != want.who || r.Dirty {
			t.Errorf("revision %d: %+v, want %+v", r.Number, r, want)
		}
	}
}
