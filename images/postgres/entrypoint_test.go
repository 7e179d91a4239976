// Package postgres tests the entry point of the PostgreSQL image with the
// PostgreSQL of the machine, without building the image.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// nobody is the user that the entry point runs as when the test is run by root, as
// PostgreSQL refuses to be root.
const nobody = 65534

// container is what the entry point finds in a container: a data directory,
// a folder of scripts, and an environment.
type container struct {
	dir, data, scripts string
	port               int
	env                []string
}

func newContainer(t *testing.T, env ...string) *container {
	t.Helper()
	// Not t.TempDir: only its owner can enter that.
	dir, err := os.MkdirTemp("", "entrypoint")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	script, err := os.ReadFile("entrypoint.sh")
	if err != nil {
		t.Fatal(err)
	}
	c := &container{dir: dir, data: filepath.Join(dir, "data"), scripts: filepath.Join(dir, "scripts"), port: freePort(t), env: env}
	write(t, filepath.Join(dir, "entrypoint.sh"), string(script), 0o755)
	for _, folder := range []string{c.data, c.scripts, filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		own(t, folder)
	}
	own(t, dir)
	return c
}

// command runs the entry point with arguments, in a session of its own so that
// all it starts can be ended together.
func (c *container) command(t *testing.T, arguments ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(filepath.Join(c.dir, "entrypoint.sh"), arguments...)
	cmd.Dir = c.dir
	cmd.Env = append([]string{
		"PATH=" + binaries(t) + ":/usr/local/bin:/usr/bin:/bin",
		"LANG=C.UTF-8",
		"TMPDIR=" + filepath.Join(c.dir, "tmp"),
		"PGDATA=" + c.data,
		"INITDB_SCRIPTS=" + c.scripts,
	}, c.env...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return cmd, &output
}

// fails runs the entry point and returns what it said when it gave up.
func (c *container) fails(t *testing.T, arguments ...string) string {
	t.Helper()
	cmd, output := c.command(t, arguments...)
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		t.Fatalf("the entry point ended with %v, want a failure; it said:\n%s", err, output)
	}
	return output.String()
}

// start starts the server and waits until it answers on TCP. The function it
// returns stops it as the kubelet would and returns what it said.
func (c *container) start(t *testing.T) (stop func() string) {
	t.Helper()
	cmd, output := c.command(t, "-c", fmt.Sprintf("port=%d", c.port), "-c", "unix_socket_directories="+c.dir, "-c", "fsync=off")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ready := exec.Command(filepath.Join(binaries(t), "pg_isready"), "--quiet", "--host=127.0.0.1", fmt.Sprintf("--port=%d", c.port))
		if ready.Run() == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the server ended (%v):\n%s", err, output)
		default:
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Fatalf("the server did not answer within a minute (%v):\n%s", <-ended, output)
		}
	}
	return func() string {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the server did not end cleanly: %v\n%s", err, output)
			}
		case <-time.After(time.Minute):
			t.Fatal("the server did not stop within a minute")
		}
		return output.String()
	}
}

// ask logs in over TCP and returns the only value of a query's only row.
func (c *container) ask(user, password, database, query string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", user, c.port, database))
	if err != nil {
		return "", err
	}
	config.Password = password
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var value string
	err = conn.QueryRow(ctx, query).Scan(&value)
	return value, err
}

// wants fails the test when a query does not give a value.
func (c *container) wants(t *testing.T, user, password, database, query, want string) {
	t.Helper()
	got, err := c.ask(user, password, database, query)
	if err != nil {
		t.Errorf("%s as %s: %v", query, user, err)
	} else if got != want {
		t.Errorf("%s as %s = %q, want %q", query, user, got, want)
	}
}

// The environment that the chart gives, with everything in files but names.
func TestChartsEnvironment(t *testing.T) {
	const password = `p'4"$(w)\ d`
	c := newContainer(t, "POSTGRES_USER=app", "POSTGRES_DB=app-data",
		"POSTGRES_INITDB_ARGS=--auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums")
	c.data = filepath.Join(c.data, "pgdata")
	file := filepath.Join(c.dir, "password")
	write(t, file, password+"\n", 0o400)
	own(t, file)
	c.env = append(c.env, "POSTGRES_PASSWORD_FILE="+file)
	write(t, filepath.Join(c.scripts, "1.sql"), "CREATE TABLE made (by text); INSERT INTO made VALUES ('sql');", 0o644)
	write(t, filepath.Join(c.scripts, "2.sh"), `psql --quiet --command="UPDATE made SET by = by || ', sourced for $POSTGRES_DB'"`, 0o644)
	write(t, filepath.Join(c.scripts, "3.sh"), "#!/bin/sh\npsql --quiet --command=\"UPDATE made SET by = by || ', run for $POSTGRES_USER'\"", 0o755)
	const made = "sql, sourced for app-data, run for app"

	stop := c.start(t)
	c.wants(t, "app", password, "app-data", "SELECT by FROM made", made)
	c.wants(t, "app", password, "app-data", "SHOW listen_addresses", "*")
	c.wants(t, "app", password, "app-data", "SHOW server_encoding", "UTF8")
	c.wants(t, "app", password, "app-data", "SHOW data_checksums", "on")
	c.wants(t, "app", password, "app-data", "SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'app'", "SCRAM-SHA-256")
	for _, wrong := range []string{"", "wrong"} {
		if _, err := c.ask("app", wrong, "app-data", "SELECT by FROM made"); err == nil {
			t.Errorf("the password %q is accepted", wrong)
		}
	}
	if output := stop(); strings.Contains(output, password) {
		t.Errorf("the password is in the log:\n%s", output)
	}
	if left := list(t, filepath.Join(c.dir, "tmp")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}

	// What fsGroup does to a volume.
	if err := os.Chmod(c.data, 0o2770); err != nil {
		t.Fatal(err)
	}
	stop = c.start(t)
	c.wants(t, "app", password, "app-data", "SELECT by FROM made", made)
	if output := stop(); strings.Contains(output, "making the database") {
		t.Errorf("a second start makes the database again:\n%s", output)
	}
}

// Where no name is given, there is the user postgres and a database of its name.
func TestDefaults(t *testing.T) {
	c := newContainer(t, "POSTGRES_PASSWORD=secret")
	stop := c.start(t)
	defer stop()
	c.wants(t, "postgres", "secret", "postgres", "SELECT current_user::text", "postgres")
}

// A volume's root may hold what the file system keeps there.
func TestLostAndFound(t *testing.T) {
	c := newContainer(t, "POSTGRES_HOST_AUTH_METHOD=trust")
	if err := os.Mkdir(filepath.Join(c.data, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	stop := c.start(t)
	c.wants(t, "postgres", "", "postgres", "SELECT 1::text", "1")
	if output := stop(); !strings.Contains(output, "WARNING: POSTGRES_HOST_AUTH_METHOD=trust") {
		t.Errorf("no warning about trust:\n%s", output)
	}
}

// Each step of the first start may be the last one before the power fails.
func TestInterruptedFirstStart(t *testing.T) {
	t.Run("making", func(t *testing.T) {
		c := newContainer(t, "POSTGRES_PASSWORD=secret")
		write(t, filepath.Join(c.scripts, "fail.sql"), "SELECT no_such_function();", 0o644)
		if output := c.fails(t); !strings.Contains(output, "no_such_function") {
			t.Errorf("the failed script is not told of:\n%s", output)
		}
		if _, err := os.Stat(filepath.Join(c.data, "PG_VERSION")); err == nil {
			t.Fatal("half a database looks like a whole one")
		}
		if err := os.Remove(filepath.Join(c.scripts, "fail.sql")); err != nil {
			t.Fatal(err)
		}
		stop := c.start(t)
		defer stop()
		c.wants(t, "postgres", "secret", "postgres", "SELECT 1::text", "1")
	})
	t.Run("moving", func(t *testing.T) {
		c := newContainer(t, "POSTGRES_PASSWORD=secret")
		c.start(t)()
		// As it is when the moving stopped halfway.
		made := filepath.Join(c.data, ".made")
		if err := os.Mkdir(made, 0o700); err != nil {
			t.Fatal(err)
		}
		own(t, made)
		for _, name := range []string{"PG_VERSION", "global", "postgresql.conf"} {
			if err := os.Rename(filepath.Join(c.data, name), filepath.Join(made, name)); err != nil {
				t.Fatal(err)
			}
		}
		stop := c.start(t)
		c.wants(t, "postgres", "secret", "postgres", "SELECT 1::text", "1")
		stop()
		if left := list(t, c.data); slices.Contains(left, ".made") || slices.Contains(left, ".making") {
			t.Errorf("a folder of the making is left: %v", left)
		}
	})
	t.Run("moved", func(t *testing.T) {
		c := newContainer(t, "POSTGRES_PASSWORD=secret")
		c.start(t)()
		made := filepath.Join(c.data, ".made")
		if err := os.Mkdir(made, 0o700); err != nil {
			t.Fatal(err)
		}
		own(t, made)
		stop := c.start(t)
		defer stop()
		c.wants(t, "postgres", "secret", "postgres", "SELECT 1::text", "1")
		if _, err := os.Stat(made); err == nil {
			t.Error("an empty folder of the making is left")
		}
	})
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name, want string
		env        []string
		prepare    func(t *testing.T, c *container)
	}{
		{name: "no password", want: "POSTGRES_PASSWORD is empty"},
		{name: "password twice", want: "both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set",
			env: []string{"POSTGRES_PASSWORD=a", "POSTGRES_PASSWORD_FILE=/dev/null"}},
		{name: "empty password file", want: "POSTGRES_PASSWORD is empty", env: []string{"POSTGRES_PASSWORD_FILE=/dev/null"}},
		{name: "files of something else", want: "not empty", env: []string{"POSTGRES_PASSWORD=a"},
			prepare: func(t *testing.T, c *container) { write(t, filepath.Join(c.data, "letter.txt"), "dear", 0o644) }},
		{name: "no right to write", want: "give uid", env: []string{"POSTGRES_PASSWORD=a"},
			prepare: func(t *testing.T, c *container) {
				c.data = filepath.Join(c.data, "closed", "pgdata")
				if err := os.Mkdir(filepath.Dir(c.data), 0o555); err != nil {
					t.Fatal(err)
				}
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newContainer(t, test.env...)
			if test.prepare != nil {
				test.prepare(t, c)
			}
			if output := c.fails(t, "postgres"); !strings.Contains(output, test.want) {
				t.Errorf("the entry point says\n%swant %q in it", output, test.want)
			}
		})
	}
}

// Commands other than the server are run as they stand, with no database.
func TestOtherCommands(t *testing.T) {
	for _, arguments := range [][]string{{"echo", "psql (PostgreSQL)"}, {"psql", "--version"}, {"postgres", "--version"}, {"--version"}} {
		c := newContainer(t)
		cmd, output := c.command(t, arguments...)
		if err := cmd.Run(); err != nil || !strings.Contains(output.String(), "(PostgreSQL)") {
			t.Errorf("%v: %v\n%s", arguments, err, output)
		}
		if left := list(t, c.data); len(left) > 0 {
			t.Errorf("%v leaves %v", arguments, left)
		}
	}
}

// binaries is the folder of the newest PostgreSQL: on PATH, or where Debian
// keeps what it does not put there.
func binaries(t *testing.T) string {
	t.Helper()
	if initdb, err := exec.LookPath("initdb"); err == nil {
		// The other programs are beside the file, not beside a link to it.
		if initdb, err = filepath.EvalSymlinks(initdb); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(initdb)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL here: apt-get install postgresql")
	}
	return filepath.Dir(slices.Max(found))
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func write(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// own gives a file to the user that the entry point runs as.
func own(t *testing.T, file string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(file, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
