package dashboard

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpen has a browser that notes how it was called, and what it was given to read.
func TestOpen(t *testing.T) {
	bin, notes := t.TempDir(), filepath.Join(t.TempDir(), "notes")
	program := "#!/bin/sh\n{ echo \"$@\"; stat -c %a \"$1\"; cat \"$1\"; } >" + notes + ".part && mv " + notes + ".part " + notes + "\n"
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	const address = "http://127.0.0.1:4711/FOLDER/?token=SECRET"
	if _, err := Open(address, []string{"HOME=/"}); err == nil {
		t.Error("it opens a browser without a screen")
	}
	forget, err := Open(address, []string{"DISPLAY=:0", "PATH=" + os.Getenv("PATH")})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return exists(notes) })
	content, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	called, rest, _ := strings.Cut(string(content), "\n")
	if strings.Contains(called, "SECRET") || !strings.HasPrefix(rest, "600\n") || !strings.Contains(rest, "url="+address) {
		t.Errorf("%s", content)
	}
	if forget(); exists(called) {
		t.Errorf("%s is left", called)
	}
}

func TestWhoCalledBySudo(t *testing.T) {
	if os.Geteuid() != 0 {
		if got := caller([]string{"SUDO_UID=1000", "SUDO_GID=1000"}); got != nil {
			t.Errorf("nobody becomes another: %+v", got)
		}
		return
	}
	for given, want := range map[string]uint32{"": 0, "SUDO_UID=0 SUDO_GID=0": 0, "SUDO_UID=x": 0, "SUDO_UID=1000 SUDO_GID=100": 1000} {
		got := uint32(0)
		if c := caller(strings.Fields(given)); c != nil {
			got = c.Uid
		}
		if got != want {
			t.Errorf("%q: got %d, want %d", given, got, want)
		}
	}
}
