//go:build e2e

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A program may be in trouble in many ways. Each is told in one report, with the
// key of berth.yaml that puts it right, and soon.
func testTrouble(t *testing.T) {
	running(t)
	folder := t.TempDir()
	for _, name := range []string{"berth.yaml", "Dockerfile", "main.go"} {
		write(t, filepath.Join(folder, name), readFile(t, filepath.Join("testdata", "trouble", name)))
	}
	deploy := func(t *testing.T, trouble string) outcome {
		t.Helper()
		edit(t, folder, func(config object) {
			set(config, trouble, "env", "TROUBLE")
			set(config, "pa$$word", "env", "PASSWORD")
			set(config, "$(PORT)", "env", "REFERENCE")
		})
		return berth(t, "-C", folder, "deploy", "staging")
	}
	deploy(t, "").wants(t, 0, "https://trouble.localhost:8443")
	var environment []string
	site := newSite(t, "trouble.localhost")
	site.call(t, "GET", "/", nil, &environment)
	for _, want := range []string{"PASSWORD=pa$$word", "REFERENCE=$(PORT)"} {
		if !slices.Contains(environment, want) {
			t.Errorf("the application gets %q, want %q as it stands in berth.yaml", environment, want)
		}
	}

	for _, test := range []struct {
		trouble string
		wants   []string
	}{
		{"exits silently", []string{"exit code 0", "it wrote nothing", "command is in berth.yaml"}},
		{"misses a setting", []string{"exit code 1", "panic: could not start: DATABASE is not set", "env and secrets are in berth.yaml"}},
		{"eats memory", []string{"OOMKilled", "64Mi", "resources.memory, in berth.yaml"}},
		{"listens on localhost", []string{"GET / on port 8080", "listens on 127.0.0.1:8080", "listen on 0.0.0.0"}},
		{"writes beside itself", []string{"/data.db: permission denied", "user, in berth.yaml"}},
		{"401", []string{"GET / on port 8080 answers 401", "health and port are in berth.yaml"}},
	} {
		t.Run(strings.ReplaceAll(test.trouble, " ", "_"), func(t *testing.T) {
			o := deploy(t, test.trouble)
			o.wants(t, 1, append(test.wants, "revision")...)
			if strings.Contains(o.said, "realworld") {
				t.Errorf("it tells of other applications:\n%s", o.said)
			}
			site.call(t, "GET", "/", nil, &environment)
		})
	}
	deploy(t, "starts late").wants(t, 0)
}
