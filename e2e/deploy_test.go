//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

// marked is this application with a mark in its environment: a deploy of it
// changes every pod.
func marked(t *testing.T, mark string) string {
	t.Helper()
	return project(t, func(config object) { config["env"] = object{"MARK": mark} })
}

// serves checks that production is served by two ready pods with a mark.
func (c *cluster) serves(t *testing.T, mark string) {
	t.Helper()
	pods := c.pods(t, "production", app)
	for _, pod := range pods {
		if got := variable(pod, "MARK"); got != mark || !ready(&pod) {
			t.Errorf("pod %s has mark %q, ready %v; want %q", pod.Name, got, ready(&pod), mark)
		}
	}
	if len(pods) != 2 {
		t.Errorf("production has %d pods, want 2", len(pods))
	}
}

func variable(pod core.Pod, name string) string {
	for _, variable := range pod.Spec.Containers[0].Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

// A new configuration, a new image, and the way back: nobody notices.
func testDeploy(t *testing.T) {
	c := running(t)
	one, two := unique("one"), unique("two")
	mustBerth(t, "-C", marked(t, one), "deploy", "production")
	c.serves(t, one)

	underLoad(t, "deploy of a new configuration", func() {
		mustBerth(t, "-C", marked(t, two), "deploy", "production")
	})
	c.serves(t, two)

	underLoad(t, "rollback", func() { mustBerth(t, "rollback", "production") })
	c.serves(t, one)

	folder := source(t)
	words := unique("a new build says hello")
	write(t, filepath.Join(folder, "cmd/realworld/e2e.go"), fmt.Sprintf(
		"package main\n\nimport \"os\"\n\nfunc init() { os.Stderr.WriteString(`{\"msg\":%q}` + \"\\n\") }\n", words))
	underLoad(t, "deploy of a new image", func() {
		mustBerth(t, "-C", project(t, func(config object) { config["context"] = folder }), "deploy", "production")
	})
	if pods := c.pods(t, "production", app); len(pods) != 2 || !strings.Contains(c.log(t, pods[0]), words) {
		t.Errorf("the new image does not run: %d pods, which say:\n%s", len(pods), c.log(t, pods[0]))
	}

	// What berth.yaml of the repository says is deployed again for the others.
	underLoad(t, "deploy of the first image again", func() { mustBerth(t, "deploy", "production") })
	c.serves(t, "")
}

func (c *cluster) log(t *testing.T, pod core.Pod) string {
	t.Helper()
	content, err := c.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &core.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Whatever goes wrong with a deploy, the old revision goes on serving, and the
// operator learns why.
func testFailedDeploy(t *testing.T) {
	c := running(t)
	good := unique("good")
	mustBerth(t, "-C", marked(t, good), "deploy", "production")

	crashing := project(t, func(config object) { broken(config, "crash") })
	unready := project(t, func(config object) {
		broken(config, "unready")
		values(config, object{"startupSeconds": 5})
	})
	for _, deploy := range []struct {
		name  string
		args  []string
		wants []string
	}{
		{"crash", []string{"-C", crashing, "deploy", "production"},
			[]string{"CrashLoopBackOff", "exit code 3", "broken: there is no harbour here", "broken: giving up", "serves again"}},
		{"unready", []string{"-C", unready, "deploy", "production"},
			[]string{"broken: not ready, and never will be", "Unhealthy", "serves again"}},
		{"no such registry", []string{"deploy", "production", "--image", "registry.invalid/nothing:1"},
			[]string{"ImagePull", "registry.invalid/nothing:1", "serves again"}},
	} {
		t.Run(deploy.name, func(t *testing.T) {
			underLoad(t, "deploy that fails, "+deploy.name, func() {
				o := berth(t, deploy.args...)
				o.wants(t, 1, deploy.wants...)
				t.Logf("it said:\n%s", o.said)
			})
			c.serves(t, good)
		})
	}
	t.Run("no image", func(t *testing.T) {
		o := berth(t, "deploy", "production", "--image", "berth.local/nothing:1")
		o.wants(t, 2, "there is no image berth.local/nothing:1", "berth deploy production")
		c.serves(t, good)
	})
	t.Run("as JSON", func(t *testing.T) {
		o := berth(t, "-C", crashing, "deploy", "production", "--json")
		o.wants(t, 1)
		var answer struct {
			Failed struct {
				Reasons []struct {
					Reason   string
					ExitCode int
					Log      []string
				}
			}
			Now string
		}
		o.decode(t, &answer)
		if r := answer.Failed.Reasons; len(r) == 0 || r[0].ExitCode != 3 || len(r[0].Log) == 0 || answer.Now == "" {
			t.Errorf("the report is %+v", answer)
		}
		c.serves(t, good)
	})
}

// Deploys meet each other, Ctrl-C and SIGKILL.
func testInterruptedDeploy(t *testing.T) {
	c := running(t)
	good := unique("good")
	mustBerth(t, "-C", marked(t, good), "deploy", "production")

	t.Run("two at once", func(t *testing.T) {
		other := unique("other")
		underLoad(t, "two deploys at once", func() {
			first := begin(t, "-C", marked(t, other), "deploy", "production")
			first.until("• Release")
			second := berth(t, "-C", marked(t, "second"), "deploy", "production")
			second.wants(t, 1, "at work", fmt.Sprintf("/%d", first.command.Process.Pid))
			first.end().wants(t, 0)
		})
		c.serves(t, other)
		good = other
	})
	t.Run("SIGINT", func(t *testing.T) {
		underLoad(t, "interrupted deploy", func() {
			deploy := begin(t, "-C", marked(t, "interrupted"), "deploy", "production")
			c.awaitMark(t, "interrupted")
			deploy.signal(syscall.SIGINT)
			deploy.end().wants(t, 1, "interrupted", "serves again")
		})
		c.serves(t, good)
	})
	t.Run("SIGKILL", func(t *testing.T) {
		next := unique("next")
		underLoad(t, "killed deploy and the next one", func() {
			deploy := begin(t, "-C", marked(t, "killed"), "deploy", "production")
			c.awaitMark(t, "killed")
			deploy.signal(syscall.SIGKILL)
			deploy.end()
			waitUnlocked(t, "-C", marked(t, next), "deploy", "production")
		})
		c.serves(t, next)
	})
}

// awaitMark waits until the first pod with a mark is there: a deploy is half
// way.
func (c *cluster) awaitMark(t *testing.T, mark string) {
	t.Helper()
	waitFor(t, "a pod with mark "+mark, time.Minute, func() error {
		for _, pod := range c.pods(t, "production", app) {
			if variable(pod, "MARK") == mark {
				return nil
			}
		}
		return fmt.Errorf("there is none")
	})
}
