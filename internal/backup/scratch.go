package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// scratchServer is a PostgreSQL that lives for one verification, in a folder
// that nobody else enters. It listens on a Unix socket there and nowhere else.
type scratchServer struct {
	folder string
	// socket is the folder of its Unix socket, most often the same.
	socket  string
	process *exec.Cmd
	exited  chan error
	// database is its database postgres.
	database *Database
}

// startScratch makes and starts the server. The caller must call stop.
func startScratch(ctx context.Context, p programs, parent string) (_ *scratchServer, err error) {
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
	s := &scratchServer{folder: folder, exited: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(s.explain(err), s.stop())
		}
	}()
	if credential != nil {
		if err := os.Chown(folder, int(credential.Uid), int(credential.Gid)); err != nil {
			return nil, fmt.Errorf("give away the scratch folder: %w", err)
		}
	}
	command := func(ctx context.Context, program string, arguments ...string) *exec.Cmd {
		command := exec.CommandContext(ctx, filepath.Join(p.bin, program), arguments...)
		command.Dir = folder
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
		command.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT}
		return command
	}
	if _, err := os.Stat(filepath.Join(p.bin, "initdb")); err != nil {
		return nil, fault.WithHint(fmt.Errorf("PostgreSQL %s has no server here, which verifying needs", p.version), "install it: apt-get install postgresql-%d", p.major)
	}
	// A name that no dump's role has: those are made by restoring the globals.
	role := "scratch_" + strings.ToLower(rand.Text())
	if err := s.makeSocket(credential); err != nil {
		return nil, err
	}
	data := filepath.Join(folder, "data")
	initdb := command(ctx, "initdb", "--pgdata="+data, "--username="+role, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, output)
	}
	arguments := []string{"-D", data}
	for _, setting := range []string{
		"listen_addresses=", "unix_socket_directories=" + s.socket, "unix_socket_permissions=0700",
		// It is thrown away in a moment: no crash has to be survived.
		"fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=256MB",
		"autovacuum=off", "shared_buffers=64MB", "dynamic_shared_memory_type=mmap", "max_connections=20", "max_locks_per_transaction=4096", "jit=off",
		// Nothing that the dump holds may begin to work.
		"max_logical_replication_workers=0",
	} {
		arguments = append(arguments, "-c", setting)
	}
	if p.major >= 17 {
		// A trigger on login would write into what is compared.
		arguments = append(arguments, "-c", "event_triggers=off")
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, fmt.Errorf("start the scratch server: %w", err)
	}
	defer log.Close()
	// It outlives ctx, to be stopped in order.
	process := command(context.WithoutCancel(ctx), "postgres", arguments...)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("start the scratch server: %w", err)
	}
	s.process = process
	go func() { s.exited <- process.Wait() }()

	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=5432 user=%s dbname=postgres sslmode=disable", quoteDSN(s.socket), role))
	if err != nil {
		return nil, fmt.Errorf("connect to the scratch server: %w", err)
	}
	s.database = &Database{config: config, tls: []string{"PGSSLMODE=disable"}, server: &server{}}
	return s, s.wait(ctx)
}

func quoteDSN(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// makeSocket finds a folder for the Unix socket: where a comma separates folders, or
// a path is longer than the kernel takes for a socket, it is one below /tmp.
func (s *scratchServer) makeSocket(credential *syscall.Credential) (err error) {
	s.socket = s.folder
	if len(s.folder) < 80 && !strings.ContainsAny(s.folder, ",\"") {
		return nil
	}
	if s.socket, err = os.MkdirTemp("/tmp", "verify-"); err != nil {
		return fmt.Errorf("make a folder for the scratch server's socket: %w", err)
	}
	if credential == nil {
		return nil
	}
	return os.Chown(s.socket, int(credential.Uid), int(credential.Gid))
}

// wait waits until the server answers.
func (s *scratchServer) wait(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; {
		c, err := s.database.connect(ctx)
		if err == nil {
			return c.Close(ctx)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the scratch server does not answer: %w", err)
		}
		select {
		case exit := <-s.exited:
			s.process = nil
			return fmt.Errorf("the scratch server ended: %w", exit)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// explain adds a hint when the scratch folder's disk is what was too small.
func (s *scratchServer) explain(err error) error {
	log, readErr := os.ReadFile(filepath.Join(s.folder, "log"))
	if full := "No space left on device"; strings.Contains(err.Error(), full) || (readErr == nil && strings.Contains(string(log), full)) {
		return fault.WithHint(fmt.Errorf("the scratch folder's disk is full: %w", err), "give verification a larger folder: about the size of the database and half as much again")
	}
	return err
}

// stop ends the server and removes its folder.
func (s *scratchServer) stop() error {
	if s.process != nil {
		// "Immediate shutdown": nothing of it has to be kept.
		if err := s.process.Process.Signal(syscall.SIGQUIT); err == nil {
			<-s.exited
		}
	}
	if s.socket != "" && s.socket != s.folder {
		if err := os.RemoveAll(s.socket); err != nil {
			return err
		}
	}
	return os.RemoveAll(s.folder)
}

// unprivileged returns whom to run the server as, which refuses to be root;
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
