package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/progress"
)

func TestStandInsAreForDebiansAndGosOwnImages(t *testing.T) {
	for _, test := range []struct {
		repository, tag string
		suite           string
		isGo            bool // with Go 1.26 on this machine
	}{
		{"library/debian", "trixie-slim", "trixie", false},
		{"library/debian", "trixie", "trixie", false},
		{"library/debian", "stable-slim", "trixie", false},
		{"library/debian", "latest", "trixie", false},
		{"library/debian", "13.2-slim", "trixie", false},
		{"library/debian", "bookworm-20260101-slim", "bookworm", false},
		{"library/debian", "12", "bookworm", false},
		{"library/debian", "sid", "sid", false},
		{"library/debian", "woody", "", false},
		{"library/debian", "trixie-backports", "", false},
		{"me/debian", "trixie", "", false},
		{"library/ubuntu", "latest", "", false},
		{"library/golang", "1.26", "", true},
		{"library/golang", "1.26.3-trixie", "", true},
		{"library/golang", "1.22-bookworm", "", true},
		{"library/golang", "1", "", true},
		{"library/golang", "latest", "", true},
		{"library/golang", "1.27", "", false},
		{"library/golang", "1.26-alpine", "", false},
		{"library/golang", "", "", false}, // by digest
		{"library/python", "3", "", false},
	} {
		base := image.Base{Registry: "docker.io", Repository: test.repository, Tag: test.tag}
		if got := debianSuite(base); got != test.suite {
			t.Errorf("%s:%s is Debian's %q, want %q", test.repository, test.tag, got, test.suite)
		}
		if got := isGo(base, 26); got != test.isGo {
			t.Errorf("%s:%s is Go's: %v, want %v", test.repository, test.tag, got, test.isGo)
		}
		base.Registry = "ghcr.io"
		if debianSuite(base) != "" || isGo(base, 26) {
			t.Errorf("another registry's %s:%s has a stand-in", test.repository, test.tag)
		}
	}
}

// A machine whose apt trusts no key of Debian's, as Ubuntu's does not, still gets
// Debian's packages, and checks who signed them.
func TestDebianIsTrustedWhereTheMachineDoesNot(t *testing.T) {
	folder := t.TempDir()
	config := filepath.Join(folder, "apt.conf")
	if err := os.WriteFile(config, []byte(`Dir::Etc::Trusted "/nonexistent"; Dir::Etc::TrustedParts "/nonexistent";`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("APT_CONFIG", config)
	simulate := func(trust ...string) error {
		return run(t.Context(), "mmdebstrap", append(trust, "--simulate", "--variant=essential", "trixie", filepath.Join(folder, "none.tar"))...)
	}
	if err := simulate(debianTrust()...); err != nil {
		t.Error(err)
	}
	stranger := filepath.Join(folder, "stranger.gpg") // no key at all
	if err := os.WriteFile(stranger, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if simulate("--keyring="+stranger) == nil {
		t.Error("packages are taken whose signature nobody can check")
	}
}

func TestARegistryThatCannotBeReachedIsNamedAtOnce(t *testing.T) {
	b := realBuilder(t)
	s := imageStore{registry: b.registry, reach: &reach{}}
	from := files(t, map[string]string{"Dockerfile": "ARG TAG=3\nFROM registry.invalid/python:${TAG}\n"})
	began := time.Now()
	bases, err := image.Bases(from)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.contexts(t.Context(), from, bases, progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), "registry.invalid/python:3") {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(fault.Hint(err), "https://registry.invalid") {
		t.Errorf("hint %q", fault.Hint(err))
	}
	if took := time.Since(began); took > 2*reachTime {
		t.Errorf("after %s", took)
	}
}
