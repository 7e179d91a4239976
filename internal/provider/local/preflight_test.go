package local

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/config"
	"berth/internal/prebuilt"
	"berth/internal/provider"
)

func TestCheckClock(t *testing.T) {
	p := &Provider{layout: layout{state: t.TempDir()}}
	for now, wrong := range map[time.Time]bool{
		time.Unix(0, 0):                      true,
		time.Now().Add(-30 * 24 * time.Hour): true,
		time.Now():                           false,
		time.Now().Add(time.Hour):            false,
		time.Now().Add(-time.Hour):           false,
	} {
		if err := os.MkdirAll(p.layout.in("pki"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.layout.pki("kubernetes-ca.crt"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		check := p.checkClock(now)
		if (check.Problem != "") != wrong || wrong && !strings.Contains(check.Problem, now.Format(time.DateOnly)) {
			t.Errorf("%s: %+v", now, check)
		}
	}
}

// told checks that a problem and its remedy say something, or that there is none.
func told(t *testing.T, name string, c provider.Check, problem, remedy string) {
	t.Helper()
	if (c.Problem == "") != (problem == "") || !strings.Contains(c.Problem, problem) || !strings.Contains(c.Remedy, remedy) || (c.Remedy == "") != (c.Problem == "") {
		t.Errorf("%s: got %+v, want %q and %q", name, c, problem, remedy)
	}
	if strings.Contains(c.Problem+c.Remedy, "\n") {
		t.Errorf("%s is more than one line: %+v", name, c)
	}
}

func TestCheckSystem(t *testing.T) {
	for _, test := range []struct {
		release         string
		apt             bool
		problem, remedy string
	}{
		{"PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_ID=\"13\"\n", true, "", ""},
		{"PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nID=debian\n", true, "", ""},
		{"PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nID=ubuntu\nVERSION_ID=\"24.04\"\n", true, "", ""},
		{"PRETTY_NAME='Linux Mint 22'\nID=linuxmint\nID_LIKE='ubuntu debian'\nVERSION_ID=22\n", true, "", ""},
		{"PRETTY_NAME=\"Debian GNU/Linux 11 (bullseye)\"\nID=debian\nVERSION_ID=\"11\"\n", true, "the containerd of Debian GNU/Linux 11 (bullseye) is too old", "Debian 12"},
		{"PRETTY_NAME=\"Ubuntu 20.04.6 LTS\"\nID=ubuntu\nVERSION_ID=\"20.04\"\n", true, "the containerd of Ubuntu 20.04.6 LTS is too old", "Ubuntu 22.04"},
		{"NAME=\"Fedora Linux\"\nPRETTY_NAME=\"Fedora Linux 43 (Server Edition)\"\nID=fedora\nVERSION_ID=43\n", false, "Fedora Linux 43 (Server Edition) has no apt-get", "run it on Debian or Ubuntu"},
		{"PRETTY_NAME=\"Arch Linux\"\nID=arch\n", false, "Arch Linux has no apt-get", "Debian or Ubuntu"},
		{"PRETTY_NAME=\"Alpine Linux v3.22\"\nID=alpine\nVERSION_ID=3.22.1\n", false, "Alpine Linux v3.22 has no apt-get", "Debian or Ubuntu"},
		{"", false, "this system has no apt-get", "Debian or Ubuntu"},
		{"", true, "", ""},
	} {
		folder := t.TempDir()
		t.Setenv("PATH", folder)
		if test.apt {
			if err := os.WriteFile(filepath.Join(folder, "apt-get"), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		files := map[string]string{}
		if test.release != "" {
			files["/etc/os-release"] = test.release
		}
		told(t, test.release, checkSystem(fakeHost(t, files)), test.problem, test.remedy)
	}
}

// Go is needed where everything is compiled, and not where a release has it.
func TestGoIsNeededWithoutARelease(t *testing.T) {
	named := func(p *Provider) string {
		var names []string
		for _, check := range p.Check(t.Context()) {
			names = append(names, check.Name)
		}
		return " " + strings.Join(names, " ") + " "
	}
	p := newProvider(config.Local{}, layout{state: t.TempDir(), cache: t.TempDir()}, network{netip.MustParsePrefix("10.118.0.0/16")})
	if !strings.Contains(named(p), " go ") {
		t.Error("nobody looks for Go")
	}
	p.TakeFrom(prebuilt.New(prebuilt.Reference{}))
	if strings.Contains(named(p), " go ") {
		t.Error("Go is asked for beside a release")
	}
}
