package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// Scratch is a PostgreSQL server for one verification, in a private folder. It
// listens only on a Unix socket there.
type Scratch struct {
	// Folder is its own; Database is its database postgres.
	Folder   string
	Database *Database

	programs Programs
	// credential is the user that it runs as; nil means the present user.
	credential *syscall.Credential
	// socket is the folder of its Unix socket, most often the same.
	socket  string
	process *exec.Cmd
	exited  chan error
}

// NewScratch makes the folder of a server below parent; empty takes TMPDIR. The
// caller must call Stop.
func NewScratch(p Programs, parent string) (_ *Scratch, err error) {
	if parent == "" {
		parent = os.TempDir()
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(parent, "verify-")
	if err != nil {
		return nil, fmt.Errorf("make the scratch folder: %w", err)
	}
	s := &Scratch{Folder: folder, programs: p, credential: credential, exited: make(chan error, 1)}
	if err := errors.Join(s.Give(folder), s.makeSocket()); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if _, err := os.Stat(filepath.Join(p.bin, "initdb")); err != nil {
		err := fault.WithHint(fmt.Errorf("PostgreSQL %s has no server here, and verifying needs one", p.version), "install it: apt-get install postgresql-%d", p.major)
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// startScratch makes and starts an empty server. The caller must call Stop.
func startScratch(ctx context.Context, p Programs, parent string) (_ *Scratch, err error) {
	s, err := NewScratch(p, parent)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(s.Explain(err), s.Stop())
		}
	}()
	data := filepath.Join(s.Folder, "data")
	role, err := s.initialize(ctx, data)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the scratch server does not answer"))
	defer cancel()
	return s, s.Start(ctx, data, role, "max_wal_size=256MB")
}

// TemplateVariable names a folder for tests, which start hundreds of scratch
// servers: the first one's empty data is kept there and copied for the others, in a
// tenth of the time that initdb takes.
const TemplateVariable = "BACKUP_SCRATCH_TEMPLATE"

// initialize makes an empty server's data, and returns its superuser: a name that no
// dump's role has, as those are made by restoring the globals.
func (s *Scratch) initialize(ctx context.Context, data string) (role string, err error) {
	template, role := "", "scratch_"+strings.ToLower(rand.Text())
	if folder := os.Getenv(TemplateVariable); folder != "" {
		template, role = filepath.Join(folder, s.programs.version), "scratch_template"
		if _, err := os.Stat(template); err == nil {
			return role, copyFolder(ctx, template, data)
		}
	}
	initdb := s.Command(ctx, "initdb", "--pgdata="+data, "--username="+role, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, output)
	}
	if template != "" {
		return role, copyFolder(ctx, data, template)
	}
	return role, nil
}

// copyFolder copies a folder with its files' owners; it is there whole or not at all.
func copyFolder(ctx context.Context, from, to string) error {
	partial := to + "." + rand.Text()
	if output, err := exec.CommandContext(ctx, "cp", "-a", from, partial).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, output)
	}
	if err := os.Rename(partial, to); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

// makeSocket finds a folder for the Unix socket: where a comma separates folders, or
// a path is longer than the kernel takes for a socket, it is one below /tmp.
func (s *Scratch) makeSocket() (err error) {
	s.socket = s.Folder
	if len(s.Folder) < 80 && !strings.ContainsAny(s.Folder, ",\"") {
		return nil
	}
	if s.socket, err = os.MkdirTemp("/tmp", "verify-"); err != nil {
		return fmt.Errorf("make a folder for the scratch server's socket: %w", err)
	}
	return s.Give(s.socket)
}

// Give makes a file the server's own.
func (s *Scratch) Give(path string) error {
	if s.credential == nil {
		return nil
	}
	if err := os.Lchown(path, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
		return fmt.Errorf("give away the scratch folder: %w", err)
	}
	return nil
}

// Start starts the server on a folder of data, with a superuser of it and more
// settings, and waits until it answers.
func (s *Scratch) Start(ctx context.Context, data, role string, settings ...string) error {
	arguments := []string{"-D", data}
	for _, setting := range append([]string{
		"listen_addresses=", "unix_socket_directories=" + s.socket, "unix_socket_permissions=0700",
		// It is thrown away in a moment: no crash has to be survived.
		"fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0",
		"autovacuum=off", "shared_buffers=64MB", "dynamic_shared_memory_type=mmap", "max_connections=20", "max_locks_per_transaction=4096", "jit=off",
		// Nothing that the dump holds may begin to work.
		"max_logical_replication_workers=0",
	}, settings...) {
		arguments = append(arguments, "-c", setting)
	}
	if s.programs.major >= 17 {
		// A trigger on login would write into what is compared.
		arguments = append(arguments, "-c", "event_triggers=off")
	}
	log, err := os.Create(s.logFile())
	if err != nil {
		return fmt.Errorf("start the scratch server: %w", err)
	}
	defer log.Close()
	// It outlives ctx, to be stopped in order.
	process := s.Command(context.WithoutCancel(ctx), "postgres", arguments...)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		return fmt.Errorf("start the scratch server: %w", err)
	}
	s.process = process
	go func() { s.exited <- process.Wait() }()

	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=5432 user=%s dbname=postgres sslmode=disable", quoteDSN(s.socket), quoteDSN(role)))
	if err != nil {
		return fmt.Errorf("connect to the scratch server: %w", err)
	}
	s.Database = &Database{config: config, tls: []string{"PGSSLMODE=disable"}, server: &server{}}
	return s.wait(ctx)
}

// Command is one of PostgreSQL's programs, as the server's user.
func (s *Scratch) Command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(s.programs.bin, program), arguments...)
	command.Dir = s.Folder
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Pdeathsig: syscall.SIGQUIT}
	return command
}

func quoteDSN(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// ErrEnded is in the chain when a scratch server ended by itself.
var ErrEnded = errors.New("the scratch server ended")

// wait waits until the server answers.
func (s *Scratch) wait(ctx context.Context) error {
	for {
		c, err := s.Database.Connect(ctx)
		if err == nil {
			return c.Close(ctx)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		select {
		case exit := <-s.exited:
			s.process = nil
			return fmt.Errorf("%w: %w", ErrEnded, exit)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// full is how the system says it of a disk.
const full = "No space left on device"

// Starved reports whether the server had too little disk or memory, or was killed: then
// how it ended judges the machine, not what the server was given.
func (s *Scratch) Starved() bool {
	log := s.Log()
	return slices.ContainsFunc([]string{full, "Cannot allocate memory", ":  out of memory\n", "was terminated by signal 9"}, func(words string) bool {
		return strings.Contains(log, words)
	})
}

// Explain adds a hint to an error if the scratch folder's disk was too small.
func (s *Scratch) Explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), full) || strings.Contains(s.Log(), full) {
		return fault.WithHint(fmt.Errorf("the scratch folder's disk is full: %w", err), "verification needs a larger folder: about 1.5 times the size of the database")
	}
	return err
}

// Log is the server's log.
func (s *Scratch) Log() string {
	text, _ := os.ReadFile(s.logFile()) // Without it nothing was said.
	return string(text)
}

func (s *Scratch) logFile() string { return filepath.Join(s.Folder, "log") }

// Shutdown ends the server in order, so that another one can start on its data.
func (s *Scratch) Shutdown(ctx context.Context) error {
	if err := s.process.Process.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop the scratch server: %w", err)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-s.exited:
		s.process = nil
		if err != nil {
			return fmt.Errorf("%w: %w", ErrEnded, err)
		}
		return nil
	}
}

// Stop ends the server and removes its folder.
func (s *Scratch) Stop() error {
	if s.process != nil {
		// "Immediate shutdown": nothing of it has to be kept.
		if err := s.process.Process.Signal(syscall.SIGQUIT); err == nil {
			<-s.exited
		}
	}
	if s.socket != "" && s.socket != s.Folder {
		if err := os.RemoveAll(s.socket); err != nil {
			return err
		}
	}
	return os.RemoveAll(s.Folder)
}

// unprivileged returns the user to run the server as, which refuses to be root;
// nil stands for who runs this.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}
