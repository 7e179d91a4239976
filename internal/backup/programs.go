package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

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

// dumped is what a dump has come to.
type dumped struct {
	Contents
	size     int64
	warnings []string
}

// encoding is what the database is dumped in: UTF-8, but for one that does not know
// what its bytes stand for, or has some that UTF-8 has nothing for.
func (m Manifest) encoding() string {
	if m.OwnEncoding || m.Database.Encoding == "SQL_ASCII" {
		return m.Database.Encoding
	}
	return "UTF8"
}

// noEquivalent is what a server says of such bytes.
const noEquivalent = `has no equivalent in encoding "UTF8"`

// dump runs pg_dump, copies what it writes to w, and returns what that holds and
// its size. It fails unless pg_dump has ended well and what came is a whole dump.
func (p Programs) dump(stopped context.Context, d *Database, f Format, encoding string, w io.Writer, arguments ...string) (_ dumped, _ error) {
	ctx, cancel := context.WithCancel(stopped)
	defer cancel()
	// zstd compresses an archive as it does SQL, and sees more of it at once.
	arguments = append([]string{"--format=" + string(f), "--compress=0", "--encoding=" + encoding, "--no-password", "--lock-wait-timeout=300000"}, arguments...)
	command, said := p.Command(ctx, d, "pg_dump", arguments...)
	output, err := startPiped(command)
	if err != nil {
		return dumped{}, fmt.Errorf("pg_dump: %w", err)
	}
	defer output.Close()
	scanner := newScanner()
	var reading io.Writer = scanner
	converted := func() error { return nil }
	if f == Custom {
		archive := p.scanArchive(ctx, scanner)
		reading, converted = archive, archive.Close
	}
	size, copyErr := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(reading, w)}, output, make([]byte, pipeSize/2))
	if copyErr != nil {
		cancel() // pg_dump would wait for a reader.
	}
	exit := said.Explain("pg_dump", command.Wait())
	if exit != nil {
		cancel() // pg_restore would complain of what is missing.
	}
	convertErr := converted()
	if stopped.Err() != nil {
		return dumped{}, context.Cause(stopped)
	}
	if copyErr != nil {
		return dumped{}, copyErr
	}
	if exit != nil {
		return dumped{}, exit
	}
	if convertErr != nil {
		return dumped{}, convertErr
	}
	contents, err := scanner.finish()
	if err != nil {
		return dumped{}, fmt.Errorf("pg_dump: %w", err)
	}
	return dumped{contents, size, said.warnings("pg_dump")}, nil
}

// pipeSize is what a pipe to or from a program holds: with the usual 64 KB the
// two would wait for each other all the time.
const pipeSize = 1 << 20

// widen asks for that. Without the right to it, the pipe stays as it is.
func widen(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) }

// startPiped starts a command and returns what it writes to its standard
// output, which ends when the command does.
func startPiped(command *exec.Cmd) (pipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	read, write := pipe(ends[0]), os.NewFile(uintptr(ends[1]), "pipe")
	widen(write.Fd())
	command.Stdout = write
	if err := errors.Join(command.Start(), write.Close()); err != nil {
		return -1, errors.Join(err, read.Close())
	}
	return read, nil
}

// pipe is the end of a pipe that is read. Unlike a file of package os it lets
// its thread wait, and then some time for the pipe to fill: pg_dump writes 4 KB
// at a time, and to wake up for each costs more than compressing it.
type pipe int

func (p pipe) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(p), b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		case n < len(b)/4:
			pause := unix.NsecToTimespec(int64(500 * time.Microsecond))
			_ = unix.Nanosleep(&pause, nil) // cut short by a signal it does as well
		}
		return n, nil
	}
}

func (p pipe) Close() error { return unix.Close(int(p)) }

// conninfo is a connection string of nothing but a database. pg_dumpall would ask
// for postgres, where not everybody is let in, and takes a name with "=" for one.
func conninfo(name string) string { return "dbname=" + quoteDSN(name) }

// globals dumps what all databases of the server share.
func (p Programs) globals(ctx context.Context, d *Database, arguments ...string) ([]byte, error) {
	arguments = append([]string{"--database=" + conninfo(d.Name()), "--globals-only", "--no-password"}, arguments...)
	command, said := p.Command(ctx, d, "pg_dumpall", arguments...)
	output, err := command.Output()
	if err != nil {
		return nil, said.Explain("pg_dumpall", err)
	}
	if !bytes.Contains(output, []byte("\n-- PostgreSQL database cluster dump complete\n")) {
		return nil, errors.New("pg_dumpall: its dump has no closing line: it was cut off")
	}
	return output, nil
}

// load feeds SQL to psql, which stops at the first error. What it reads is
// checked by the caller.
func (p Programs) load(ctx context.Context, d *Database, sql io.Reader, stopAtError bool) error {
	arguments := []string{"--no-psqlrc", "--no-password", "--quiet", "--output=/dev/null", "--set=VERBOSITY=verbose"}
	if stopAtError {
		arguments = append(arguments, "--set=ON_ERROR_STOP=1")
	}
	err := p.feed(ctx, d, sql, io.Discard, "psql", arguments...)
	// That status is of a statement that failed, in a session that did not.
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		return newRefusal(err)
	}
	return err
}

// refusal is what a server refuses a statement of a dump with.
type refusal struct {
	said  string // psql's words, without the place in PostgreSQL's source
	state string // SQLSTATE, or empty if psql did not say it
}

var sqlState = regexp.MustCompile(`:  ([0-9A-Z]{5}): `)

func newRefusal(err error) *refusal {
	r := &refusal{}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "LOCATION:  ") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	r.said = strings.Join(lines, "\n")
	if match := sqlState.FindStringSubmatch(r.said); match != nil {
		r.state = match[1]
	}
	return r
}

func (r *refusal) Error() string { return r.said }

// serversOwn reports whether the server is what is in trouble, not the statement:
// it is full, stopped, or broken. See the classes of PostgreSQL's error codes.
func (r *refusal) serversOwn() bool {
	for _, class := range []string{"08", "53", "57", "58", "F0", "XX"} {
		if strings.HasPrefix(r.state, class) {
			return true
		}
	}
	return r.state == ""
}

// feed runs a program between an input and an output. It returns an error of
// those before one of the program, which may be but what follows from it.
func (p Programs) feed(stopped context.Context, d *Database, input io.Reader, output io.Writer, program string, arguments ...string) error {
	ctx, cancel := context.WithCancel(stopped)
	defer cancel()
	command, said := p.Command(ctx, d, program, arguments...)
	stdin, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	if file, ok := stdin.(*os.File); ok {
		if raw, err := file.SyscallConn(); err == nil {
			_ = raw.Control(widen) // The pipe works as it is, too.
		}
	}
	stdout, err := startPiped(command)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{output}, stdout, make([]byte, pipeSize/2))
		if err != nil {
			cancel() // The program would wait for a reader.
		}
		written <- errors.Join(err, stdout.Close())
	}()
	source := &reader{Reader: input}
	_, copyErr := io.CopyBuffer(struct{ io.Writer }{stdin}, source, make([]byte, pipeSize/2))
	var closeErr error
	if source.err != nil {
		cancel() // It must not take the end of what came for the end of all.
	} else {
		closeErr = stdin.Close()
	}
	writeErr := <-written
	exit := said.Explain(program, command.Wait())
	switch {
	case stopped.Err() != nil:
		return context.Cause(stopped)
	case source.err != nil:
		return source.err
	case writeErr != nil:
		return writeErr
	case exit != nil:
		return exit // It is the cause of the other two.
	}
	return errors.Join(copyErr, closeErr)
}

// reader remembers an error of its source, to tell it from one of the copy's
// other end.
type reader struct {
	io.Reader
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
