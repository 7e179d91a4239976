package release

import (
	"context"
	"crypto/rand"
	"os/exec"
	"strings"
	"testing"

	"berth/internal/fault"
	"berth/internal/progress"
)

// repository is the application's folder under version control.
type repository struct {
	t      *testing.T
	folder string
}

func newRepository(t *testing.T, c *Client) repository {
	r := repository{t, t.TempDir()}
	r.git("init", "--quiet")
	c.config.Dir = r.folder
	return r
}

func (r repository) git(arguments ...string) string {
	r.t.Helper()
	command := exec.Command("git", append([]string{"-C", r.folder, "-c", "user.name=Mira", "-c", "user.email=mira@example.com"}, arguments...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v: %s", command, err, output)
	}
	return strings.TrimSpace(string(output))
}

// commit makes a commit, like no other of the same second, and returns it.
func (r repository) commit() string {
	r.git("commit", "--quiet", "--allow-empty", "--message", rand.Text())
	return r.git("rev-parse", "HEAD")
}

// at goes to a commit.
func (r repository) at(commit string) { r.git("checkout", "--quiet", "--detach", commit) }

func TestDeployForwardNeverGoesBack(t *testing.T) {
	_, c := newWorld(t)
	r := newRepository(t, c)
	first, second := r.commit(), r.commit()
	r.at(first)
	aside := r.commit()
	deploy := func(commit, image string) error {
		r.at(commit)
		_, err := c.DeployForward(context.Background(), "production", image, progress.Discard)
		return err
	}
	for _, step := range []struct{ what, commit, image, err string }{
		{"the first", first, "good:1", ""},
		{"the same again", first, "good:1", ""},
		{"a later one", second, "good:2", ""},
		{"an older one", first, "good:1", "production serves commit " + second[:10] + " already, which is later than " + first[:10]},
		{"the later one again", second, "good:2", ""},
		{"one of another line", aside, "good:3", ""},
	} {
		err := deploy(step.commit, step.image)
		if (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("%s: %v", step.what, err)
		}
	}
	// What changes nothing counts as deployed, too.
	r.at(second)
	third := r.commit()
	for _, commit := range []string{second, third} {
		if err := deploy(commit, "good:3"); err != nil {
			t.Fatal(err)
		}
	}
	if err := deploy(second, "good:2"); err == nil {
		t.Error("an older commit went over one that had changed nothing")
	}
	// An older one can be deployed on purpose.
	r.at(first)
	mustDeploy(t, c, "good:1")
}

func TestDeployForwardWithoutTheHistory(t *testing.T) {
	_, c := newWorld(t)
	r := newRepository(t, c)
	r.commit()
	mustDeploy(t, c, "good:1")
	newRepository(t, c).commit() // which knows nothing of the other
	_, err := c.DeployForward(context.Background(), "production", "good:2", progress.Discard)
	if err == nil || !strings.Contains(fault.Hint(err), "fetch-depth: 0") {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	c.config.Dir = t.TempDir()
	_, err = c.DeployForward(context.Background(), "production", "good:2", progress.Discard)
	if !fault.IsUsage(err) || !strings.Contains(err.Error(), "at no commit") {
		t.Errorf("no repository: %v", err)
	}
	wantHistory(t, c, "1 deployed good:1: deploy good:1 by mira@laptop")
}

func TestWhatMayBeTakenToProduction(t *testing.T) {
	_, c := newWorld(t)
	r := newRepository(t, c)
	const one, two, crash = "good@sha256:1", "good@sha256:2", "crash@sha256:3"
	first := r.commit()
	mustDeploy(t, c, one)
	second := r.commit()
	mustDeploy(t, c, two)
	third := r.commit()
	failingDeploy(t, c, crash) // back to two, which is of the second commit
	fourth := r.commit()
	mustDeploy(t, c, "good:4")
	fifth := r.commit()
	for _, test := range []struct{ what, commit, image, err string }{
		{"what served before", first, one, ""},
		{"what serves", second, two, ""},
		{"what has failed", third, "", "has never served commit " + third[:10]},
		{"a tag", fourth, "", "may have been pushed again"},
		{"what was never there", fifth, "", "has never served commit"},
	} {
		r.at(test.commit)
		image, err := c.Promotable(context.Background(), "production")
		if image != test.image || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %q, %v", test.what, image, err)
		}
	}
}
