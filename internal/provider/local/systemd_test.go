package local

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestUnit(t *testing.T) {
	for name, test := range map[string]struct {
		program string
		layout  layout
		path    string
	}{
		"usual":    {"/usr/local/bin/berth", layout{"/var/lib/berth/local", "/var/cache/berth"}, "/usr/local/sbin:/usr/sbin:/usr/bin"},
		"peculiar": {`/home/a b/$HOME/100%/berth`, layout{`/srv/my "state"/berth/local`, `/srv/%h\/berth`}, "/usr/bin:/opt/my tools"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := renderUnit(test.program, test.layout, test.path)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".service")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s differs (-want +got); go test -update rewrites it:\n%s", file, diff)
			}
		})
	}
	if _, err := renderUnit("/bin/berth\nExecStart=/bin/evil", layout{"/a/b/c", "/d/e"}, ""); err == nil {
		t.Error("a line break of a path begins a line of the unit")
	}
}

// fakeSystemd is a machine whose systemctl is recorded.
func fakeSystemd(t *testing.T, booted bool) (s systemd, calls *[]string) {
	t.Helper()
	folder := t.TempDir()
	for _, program := range []string{"systemctl", "systemd-run"} { // to be found, never to be run
		if err := os.WriteFile(filepath.Join(folder, program), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder)
	files := map[string]string{"/etc/systemd/system/other.service": ""}
	if booted {
		files["/run/systemd/system/.keep"] = ""
	}
	calls = &[]string{}
	return systemd{fakeHost(t, files), func(_ context.Context, arguments ...string) error {
		*calls = append(*calls, strings.Join(arguments, " "))
		return nil
	}}, calls
}

func TestSystemdBringsTheClusterBack(t *testing.T) {
	s, calls := fakeSystemd(t, true)
	l := layout{"/var/lib/berth/local", "/var/cache/berth"}
	said := func(want ...string) {
		t.Helper()
		if !slices.Equal(*calls, want) {
			t.Errorf("systemctl was told %q, want %q", *calls, want)
		}
		*calls = nil
	}
	if err := s.disable(t.Context()); err != nil { // of a cluster that never was
		t.Error(err)
	}
	said()
	for _, want := range [][]string{
		{"daemon-reload", "enable --quiet berth.service", "start --no-block berth.service"},
		{"enable --quiet berth.service", "start --no-block berth.service"}, // nothing changed
	} {
		if err := s.enable(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		said(want...)
	}
	if err := s.disable(t.Context()); err != nil || !exists(s.path(unitFile)) {
		t.Errorf("after down: %v, the unit is there: %v", err, exists(s.path(unitFile)))
	}
	said("disable --quiet --now berth.service")
	if err := s.remove(t.Context()); err != nil || exists(s.path(unitFile)) {
		t.Errorf("after a purge: %v, the unit is there: %v", err, exists(s.path(unitFile)))
	}
	said("disable --quiet --now berth.service", "stop berth.slice", "daemon-reload")
	if err := s.remove(t.Context()); err != nil {
		t.Error(err)
	}
	said()
	scope := strings.Join(s.scoped([]string{"/bin/berth", "supervise", "/x"}), " ")
	if !strings.Contains(scope, "systemd-run ") || !strings.Contains(scope, "--scope") || !strings.Contains(scope, "--slice=berth.slice") ||
		!strings.HasSuffix(scope, " -- /bin/berth supervise /x") {
		t.Errorf("the supervisor is started by %s", scope)
	}
}

// Where something else is process 1 all is as if systemd had never been.
func TestWithoutSystemdNothingIsInstalled(t *testing.T) {
	s, calls := fakeSystemd(t, false)
	if err := s.enable(t.Context(), layout{"/var/lib/berth/local", "/var/cache/berth"}); err != nil {
		t.Error(err)
	}
	if err := s.disable(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.remove(t.Context()); err != nil {
		t.Error(err)
	}
	if len(*calls) > 0 || exists(s.path(unitFile)) {
		t.Errorf("systemctl was told %q; the unit is there: %v", *calls, exists(s.path(unitFile)))
	}
	if command := []string{"/bin/berth", "supervise"}; !slices.Equal(s.scoped(command), command) {
		t.Errorf("the supervisor is started by %q", s.scoped(command))
	}
}
