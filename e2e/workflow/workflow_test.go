// Package workflow tests what GitHub runs: the workflows in .github, and the
// targets of the Makefile that they call, with a docker that stands in.
package workflow

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

// run makes a target with a docker that does as a script says, and returns what
// it wrote and what docker was called with.
func run(t *testing.T, docker string, environ []string, arguments ...string) (output, called string, err error) {
	t.Helper()
	folder := t.TempDir()
	log := filepath.Join(folder, "called")
	script := "#!/bin/sh\necho \"$@\" >>" + log + "\n" + docker
	if err := os.WriteFile(filepath.Join(folder, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("make", append([]string{"-C", root, "--no-print-directory"}, arguments...)...)
	command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "REGISTRY=ghcr.io/Me", "IMAGE=realworld", "TAG=abc", "MAKEFLAGS=")
	command.Env = append(command.Env, environ...)
	said, err := command.CombinedOutput()
	text, _ := os.ReadFile(log) // none when docker was not called
	return string(said), string(text), err
}

// A job that is run again must not give a commit another digest.
func TestAnImageIsBuiltOnceForACommit(t *testing.T) {
	const look, build = "imagetools inspect ghcr.io/me/realworld:abc", "buildx build --push --sbom=true"
	for _, test := range []struct {
		what, docker  string
		builds, fails bool
	}{
		{"it is there", `exit 0`, false, false},
		{"it is not", `[ "$2" = build ] || { echo "ERROR: ghcr.io/me/realworld:abc: not found" >&2; exit 1; }`, true, false},
		{"nothing was ever pushed there", `[ "$2" = build ] || { echo "ERROR: unexpected status: 403 Forbidden" >&2; exit 1; }`, true, false},
		{"the registry is away", `echo "ERROR: dial tcp: i/o timeout" >&2; exit 1`, false, true},
		{"the build fails", `[ "$2" = build ] && exit 1; echo "not found"; exit 1`, true, true},
	} {
		output, called, err := run(t, test.docker, nil, "push")
		if !strings.Contains(called, look) || strings.Contains(called, build) != test.builds || (err != nil) != test.fails {
			t.Errorf("%s: %v, docker was called with\n%s%s", test.what, err, called, output)
		}
	}
}

func TestLoginToAnyRegistry(t *testing.T) {
	for registry, host := range map[string]string{
		"ghcr.io/me": "ghcr.io", "registry.digitalocean.com/shop": "registry.digitalocean.com",
		"localhost:5000/a/b": "localhost:5000", "docker.io/me": "docker.io",
	} {
		output, called, err := run(t, `echo "in: $(cat)" >>"$0.in"; [ "$(cat "$0.in")" = "in: pass" ]`,
			[]string{"REGISTRY_USERNAME=me", "REGISTRY_PASSWORD=pass"}, "login", "REGISTRY="+registry)
		if err != nil || called != "login --username me --password-stdin "+host+"\n" || strings.Contains(output, "pass") {
			t.Errorf("%s: %v: %s%s", registry, err, called, output)
		}
	}
}

type workflow struct {
	Concurrency struct {
		Group  string `json:"group"`
		Cancel bool   `json:"cancel-in-progress"`
	} `json:"concurrency"`
	Jobs map[string]struct {
		Concurrency struct {
			Group  string `json:"group"`
			Cancel bool   `json:"cancel-in-progress"`
		} `json:"concurrency"`
		Steps []struct {
			Run  string         `json:"run"`
			Uses string         `json:"uses"`
			With map[string]any `json:"with"`
		} `json:"steps"`
	} `json:"jobs"`
}

// What deploys is one at a time, never goes back, does nothing in a fork, and
// leaves the provider to berth.yaml.
func TestWorkflowsDeployInOrder(t *testing.T) {
	files, err := filepath.Glob(root + "/.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no workflows", err)
	}
	deploys := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, job := range w.Jobs {
			var depth any
			for _, step := range job.Steps {
				if d, ok := step.With["fetch-depth"]; ok {
					depth = d
				}
				if !strings.Contains(step.Run, "make deploy") {
					continue
				}
				deploys[filepath.Base(file)] = step.Run
				for _, flag := range []string{"--skip-unconfigured", "--forward"} {
					if !strings.Contains(step.Run, flag) {
						t.Errorf("%s, %s: without %s", file, name, flag)
					}
				}
				if strings.Contains(step.Run, "--provider") {
					t.Errorf("%s, %s: names a provider", file, name)
				}
				if job.Concurrency.Group != name || job.Concurrency.Cancel {
					t.Errorf("%s, %s: concurrency is %+v", file, name, job.Concurrency)
				}
				if depth != float64(0) && depth != int64(0) {
					t.Errorf("%s, %s: fetch-depth is %v: nobody can tell which commit is later", file, name, depth)
				}
			}
			if file == root+"/.github/workflows/main.yml" && (w.Concurrency.Group == "" || w.Concurrency.Cancel) {
				t.Errorf("%s: concurrency is %+v", file, w.Concurrency)
			}
		}
	}
	if run := deploys["production.yml"]; !strings.Contains(run, "--from staging") || strings.Contains(run, "--image") {
		t.Errorf("production takes %s", run)
	}
	if len(deploys) != 2 {
		t.Errorf("there are deploys in %v", deploys)
	}
}
