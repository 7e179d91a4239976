package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"berth/internal/fault"
)

// Programs is a folder of PostgreSQL's programs of one version.
type Programs struct {
	bin     string
	version string
	major   int
}

// FindPrograms finds the programs for a server: of its version, or else of the
// next newer one there is. An older pg_dump refuses a newer server, and what a
// newer one writes an older server may not understand.
func FindPrograms(ctx context.Context, bin string, major int) (Programs, error) {
	if bin != "" {
		p, err := programsIn(ctx, bin)
		if err != nil {
			return p, err
		}
		return p, p.fit(major)
	}
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's
	if err != nil {
		return Programs{}, err
	}
	if path, err := exec.LookPath("pg_dump"); err == nil {
		folders = append(folders, filepath.Dir(path))
	}
	var all []Programs
	for _, folder := range folders {
		if p, err := programsIn(ctx, folder); err == nil {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return Programs{}, fault.WithHint(errors.New("PostgreSQL's programs are not installed"), "install them: apt-get install postgresql")
	}
	slices.SortStableFunc(all, func(a, b Programs) int { return a.major - b.major })
	for _, p := range all {
		if p.major >= major {
			return p, nil
		}
	}
	newest := all[len(all)-1]
	return newest, newest.fit(major)
}

func programsIn(ctx context.Context, bin string) (Programs, error) {
	output, err := exec.CommandContext(ctx, filepath.Join(bin, "pg_dump"), "--version").Output()
	if err != nil {
		return Programs{}, fmt.Errorf("ask pg_dump for its version: %w", err)
	}
	// "pg_dump (PostgreSQL) 17.5 (Debian 17.5-1)"
	_, version, _ := strings.Cut(strings.TrimSpace(string(output)), ") ")
	version, _, _ = strings.Cut(version, " ")
	number := version
	if end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' }); end > 0 {
		number = version[:end]
	}
	major, err := strconv.Atoi(number)
	if err != nil {
		return Programs{}, fmt.Errorf("pg_dump tells no version: %q", output)
	}
	return Programs{bin, version, major}, nil
}

// fit refuses a server that is newer than the programs.
func (p Programs) fit(major int) error {
	if p.major >= major {
		return nil
	}
	return fault.WithHint(fmt.Errorf("the server is PostgreSQL %d and pg_dump is %s: it cannot dump a newer server", major, p.version),
		"install the programs of the server's version: apt-get install postgresql-client-%d", major)
}

// Major is the version of the programs, as 17.
func (p Programs) Major() int { return p.major }

// majorOf reads the major number of a version such as "17.5 (Debian 17.5-1)".
func majorOf(version string) (major int) {
	_, _ = fmt.Sscanf(version, "%d", &major) // 0 stands for any.
	return major
}

// Command is one of the programs, which talks to a database, or to none, and
// writes to nothing yet. It is ended with the context.
func (p Programs) Command(ctx context.Context, d *Database, program string, arguments ...string) (*exec.Cmd, *Said) {
	command := exec.CommandContext(ctx, filepath.Join(p.bin, program), arguments...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	if d != nil {
		command.Env = d.environ(os.Environ())
	}
	command.WaitDelay = 10 * time.Second
	// Should this be killed, the kernel ends the program: it holds locks.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	said := &Said{}
	command.Stderr = said
	return command, said
}

// Said keeps the last of what a program says, for the error.
type Said struct{ bytes.Buffer }

// warnings are the lines in which a program that succeeded says what is amiss. The
// details and hints that follow one belong to it.
func (t *Said) warnings(program string) (warnings []string) {
	for line := range strings.Lines(t.String()) {
		line = strings.TrimSpace(line)
		text, ours := strings.CutPrefix(line, program+": ")
		switch {
		case ours && strings.HasPrefix(text, "warning: "):
			warnings = append(warnings, line)
		case ours && len(warnings) > 0 && (strings.HasPrefix(text, "detail: ") || strings.HasPrefix(text, "hint: ")):
			warnings[len(warnings)-1] += "; " + text
		}
	}
	return warnings
}

func (t *Said) Write(p []byte) (int, error) {
	t.Buffer.Write(p)
	if extra := t.Len() - 64<<10; extra > 0 {
		t.Next(extra)
	}
	return len(p), nil
}

// Explain makes an error of how a program ended and what it said last.
func (t *Said) Explain(program string, err error) error {
	if err == nil {
		return nil
	}
	if said := strings.TrimSpace(t.String()); said != "" {
		return fmt.Errorf("%s: %w: %s", program, err, said)
	}
	return fmt.Errorf("%s: %w", program, err)
}
