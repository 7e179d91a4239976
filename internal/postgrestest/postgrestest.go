// Package postgrestest runs a real PostgreSQL server for tests and benchmarks:
// one of the machine's own, in a temporary folder, on a free port of the
// loopback interface and a Unix socket. Nothing of it is left afterwards.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// A Server is a running PostgreSQL.
type Server struct {
	// Port is where it listens on 127.0.0.1.
	Port int
	// Folder holds the data, the log and the Unix socket.
	Folder string
	// Bin is the folder of PostgreSQL's programs: psql, pg_dump, ...
	Bin string

	process   *exec.Cmd
	exited    chan error
	databases atomic.Int64
}

// Role is the superuser that the server knows. It needs no password.
const Role = "berth"

// Start starts a server with settings added to the command line, for example
// "max_connections=50". The caller must call Stop.
func Start(settings ...string) (*Server, error) {
	bins, err := findBins()
	if err != nil {
		return nil, err
	}
	return start(bins[len(bins)-1], "", settings)
}

// StartOn starts a server on data that is there and stays, and whose superuser and
// pg_hba.conf are its own.
func StartOn(data string, settings ...string) (*Server, error) {
	bins, err := findBins()
	if err != nil {
		return nil, err
	}
	return start(bins[len(bins)-1], data, settings)
}

// StartOldest starts the oldest PostgreSQL that the machine has, usually the only
// one.
func StartOldest(settings ...string) (*Server, error) {
	bins, err := findBins()
	if err != nil {
		return nil, err
	}
	return start(bins[0], "", settings)
}

func start(bin, data string, settings []string) (*Server, error) {
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	// Not below TMPDIR, whose path may be too long for a socket (107 bytes).
	folder, err := os.MkdirTemp("/tmp", "postgres-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
	}
	s := &Server{Folder: folder, Bin: bin, exited: make(chan error, 1)}
	if err := s.start(credential, data, settings); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(credential *syscall.Credential, data string, settings []string) error {
	if credential != nil {
		if err := os.Chown(s.Folder, int(credential.Uid), int(credential.Gid)); err != nil {
			return fmt.Errorf("give PostgreSQL its folder: %w", err)
		}
	}
	if data == "" {
		data = filepath.Join(s.Folder, "data")
		initdb := s.command(credential, "initdb", "--pgdata="+data, "--username="+Role, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
		if output, err := initdb.CombinedOutput(); err != nil {
			return fmt.Errorf("initdb: %w\n%s", err, output)
		}
	}

	port, err := freePort()
	if err != nil {
		return err
	}
	s.Port = port
	arguments := []string{"-D", data, "-p", strconv.Itoa(port)}
	for _, setting := range append([]string{"listen_addresses=127.0.0.1", "unix_socket_directories=" + s.Folder}, settings...) {
		arguments = append(arguments, "-c", setting)
	}
	var log bytes.Buffer
	process := s.command(credential, "postgres", arguments...)
	process.Stdout, process.Stderr = &log, &log
	// Should the test be killed, the kernel stops the server.
	process.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	if err := process.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.process = process
	go func() { s.exited <- process.Wait() }()

	for deadline := time.Now().Add(2 * time.Minute); ; {
		err := s.ping()
		if err == nil {
			return nil
		}
		select {
		case exit := <-s.exited:
			s.process = nil
			return fmt.Errorf("PostgreSQL ended: %w\n%s", exit, log.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
	}
}

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	return connection.Close(ctx)
}

// command runs one of PostgreSQL's programs, in a folder that it may enter.
func (s *Server) command(credential *syscall.Credential, program string, arguments ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(s.Bin, program), arguments...)
	command.Dir = s.Folder
	command.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin"}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	return command
}

// URL returns the URL of a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s", Role, s.Port, database)
}

// PID is the number of the server's main process.
func (s *Server) PID() int { return s.process.Process.Pid }

// CreateDatabase makes a new empty database and returns its URL.
func (s *Server) CreateDatabase(ctx context.Context) (string, error) {
	connection, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return "", fmt.Errorf("create database: %w", err)
	}
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	_, err = connection.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	if err = errors.Join(err, connection.Close(ctx)); err != nil {
		return "", fmt.Errorf("create database: %w", err)
	}
	return s.URL(name), nil
}

// Stop ends the server, disconnecting its clients, and removes its
// folder.
func (s *Server) Stop() error {
	var err error
	if s.process != nil {
		// SIGINT is PostgreSQL's "fast shutdown".
		if err = s.process.Process.Signal(syscall.SIGINT); err == nil {
			err = <-s.exited
		}
	}
	return errors.Join(err, os.RemoveAll(s.Folder))
}

// Main is the body of a TestMain whose tests share one server:
//
//	var server *postgrestest.Server
//
//	func TestMain(m *testing.M) { postgrestest.Main(m, &server) }
//
// A test gets a database of its own from [Server.Database].
func Main(m *testing.M, server **Server) {
	s, err := Start("fsync=off", "synchronous_commit=off", "full_page_writes=off")
	if err != nil {
		fmt.Fprintln(os.Stderr, "postgrestest:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
	*server = s
	code := m.Run()
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "postgrestest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Database returns the URL of a new empty database.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	url, err := s.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Connect opens a session of the superuser, which ends with the test.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
	return c
}

// findBins finds the installed PostgreSQL of each version, the newest last. Debian keeps
// a server's programs out of PATH, a folder for each.
func findBins() ([]string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		version := func(path string) int {
			number, _ := strconv.Atoi(strings.Split(path, "/")[4]) // no number sorts first
			return number
		}
		slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
		for i, path := range found {
			found[i] = filepath.Dir(path)
		}
		return found, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return []string{filepath.Dir(path)}, nil
	}
	return nil, fault.WithHint(errors.New("PostgreSQL's server is not installed"), "Install it: apt-get install postgresql")
}

// unprivileged returns the user to run the server as, which refuses to run as
// root; nil stands for who runs this.
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

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
