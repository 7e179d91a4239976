package sudo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/fault"
)

func TestCommandNamesVariablesWithoutTheirValues(t *testing.T) {
	t.Setenv("STRIPE_KEY", "sk_live_1")
	line := command("/opt/berth", []string{"deploy", "staging", "--image", "a b"}, []string{"STRIPE_KEY", "HTTPS_PROXY"})
	joined := strings.Join(line, "\n")
	if strings.Contains(joined, "sk_live_1") || !strings.Contains(joined, "STRIPE_KEY") || strings.Count(joined, "HTTPS_PROXY") != 1 {
		t.Errorf("sudo is called by\n%s", joined)
	}
	if !strings.HasSuffix(joined, "--\n/opt/berth\ndeploy\nstaging\n--image\na b") {
		t.Errorf("the command itself is changed:\n%s", joined)
	}
}

func TestRestartWithoutAWayToRootSaysWhatToDo(t *testing.T) {
	for name, test := range map[string]struct{ program, script, want string }{
		"no sudo":                    {"", "", "run the same command as root"},
		"doas in its place":          {"doas", "#!/bin/sh\n", "as root: doas /"},
		"run0 in its place":          {"run0", "#!/bin/sh\n", "as root: run0 /"},
		"a password and no terminal": {"sudo", "#!/bin/sh\nexit 1\n", "as root: sudo /"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if test.program != "" {
				if err := os.WriteFile(filepath.Join(folder, test.program), []byte(test.script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", folder)
			err := Restart([]string{"up"}, nil, os.Environ(), false)
			if err == nil || !strings.Contains(err.Error(), "root") || !strings.Contains(fault.Hint(err), test.want) {
				t.Errorf("got %v, hint %q", err, fault.Hint(err))
			}
		})
	}
}
