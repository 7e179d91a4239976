//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Commands in pods of their own and in running ones, psql, a restart and a
// forwarded port, as a person and as a script have them.
func testSessions(t *testing.T) {
	c := running(t)
	folder, secret := withShell(t)
	mustBerth(t, "-C", folder, "deploy", "staging")

	t.Run("pipe", func(t *testing.T) { testPipe(t, folder, secret) })
	t.Run("terminal", func(t *testing.T) { testTerminal(t, folder) })
	t.Run("no shell", func(t *testing.T) {
		berth(t, "run", "production").wants(t, 127, "has no shell", "berth run production -- PROGRAM")
		berth(t, "exec", "production").wants(t, 127, "has no shell")
		berth(t, "run", "staging", "--", "/nothing").wants(t, 127, `no program "/nothing"`)
	})
	t.Run("interrupt", func(t *testing.T) {
		// The application itself, from an image that holds nothing else, beside
		// the SQLite file of those that serve.
		c.nothingLeft(t) // whose pod could be taken for this one's
		o := begin(t, "run", "staging", "--", "/realworld")
		pod := c.sessionPod(t, "realworld")
		waitFor(t, "the program", time.Minute, func() error {
			for _, pid := range podProcesses(t, pod) {
				if commandLine(pid) == "/realworld" {
					return nil
				}
			}
			return fmt.Errorf("it does not run yet")
		})
		o.signal(syscall.SIGINT)
		o.end().wants(t, 130)
	})
	t.Run("kill", func(t *testing.T) {
		o := begin(t, "-C", folder, "run", "staging", "--", "sleep", "1000")
		c.sessionPod(t, "hello")
		o.signal(syscall.SIGKILL)
		o.end()
		took := c.nothingLeft(t)
		t.Logf("the cluster has removed what was left after %s", took)
	})
	t.Run("exec", func(t *testing.T) {
		pods := c.pods(t, "staging", "app.kubernetes.io/component=web,app.kubernetes.io/instance=hello")
		mustBerth(t, "-C", folder, "exec", "staging", "--", "cat", "/etc/hostname").wants(t, 0, pods[0].Name)
		berth(t, "-C", folder, "exec", "staging", "--pod", pods[0].Name, "--", "sh", "-c", "exit 9").wants(t, 9)
	})
	t.Run("psql", testPsql)
	t.Run("restart", func(t *testing.T) { testRestart(t, c) })
	t.Run("forward", func(t *testing.T) { testForward(t, c) })
	c.nothingLeft(t)
}

// withShell is an application on Debian, and the secret that it is given.
func withShell(t *testing.T) (folder, secret string) {
	t.Helper()
	folder, secret = t.TempDir(), unique("ahoy")
	for _, name := range []string{"berth.yaml", "Dockerfile.debian", "main.go"} {
		content := readFile(t, filepath.Join("testdata", "hello", name))
		write(t, filepath.Join(folder, name), strings.Replace(content, "dockerfile: Dockerfile", "dockerfile: Dockerfile.debian", 1))
	}
	write(t, filepath.Join(folder, ".env"), "GREETING="+secret+"\n")
	return folder, secret
}

// sessionPod is the pod of an application's session, once it runs.
func (c *cluster) sessionPod(t *testing.T, app string) (pod core.Pod) {
	t.Helper()
	waitFor(t, "the session's pod", time.Minute, func() error {
		for _, pod = range c.pods(t, "staging", "app.kubernetes.io/component=session,app.kubernetes.io/instance="+app) {
			if pod.Status.Phase == core.PodRunning {
				return nil
			}
		}
		return fmt.Errorf("none runs")
	})
	return pod
}

// nothingLeft waits until no session's pod or Job is there.
func (c *cluster) nothingLeft(t *testing.T) time.Duration {
	t.Helper()
	return waitFor(t, "sessions to be gone", 2*time.Minute, func() error {
		of := metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=session"}
		pods, err := c.CoreV1().Pods("").List(t.Context(), of)
		if err != nil {
			return err
		}
		jobs, err := c.BatchV1().Jobs("").List(t.Context(), of)
		if err != nil {
			return err
		}
		if len(pods.Items)+len(jobs.Items) > 0 {
			return fmt.Errorf("%d pods and %d jobs are left", len(pods.Items), len(jobs.Items))
		}
		return nil
	})
}

// piped runs a command with an input, and returns its outputs as they are.
func piped(t *testing.T, input []byte, args ...string) (status int, out, errs []byte) {
	t.Helper()
	command := berthCommand(args...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &stdout, &stderr
	began := time.Now()
	_ = command.Run() // the status tells
	t.Logf("berth %s: status %d after %s", strings.Join(args, " "), command.ProcessState.ExitCode(), time.Since(began).Round(10*time.Millisecond))
	return command.ProcessState.ExitCode(), stdout.Bytes(), stderr.Bytes()
}

func testPipe(t *testing.T, folder, secret string) {
	shell := func(input []byte, script string) (int, []byte, []byte) {
		return piped(t, input, "-C", folder, "run", "staging", "--", "sh", "-c", script)
	}
	for _, test := range []struct {
		script    string
		status    int
		out, errs string
	}{
		{"echo out; echo err >&2; exit 3", 3, "out\n", "err\n"},
		{"kill -9 $$", 137, "", ""},
		{"kill -15 $$", 143, "", ""},
		{`printf %s "$GREETING"; id -u >&2`, 0, secret, "65532\n"},
		{"wc -c", 0, "0\n", ""},
	} {
		status, out, errs := shell(nil, test.script)
		if status != test.status || string(out) != test.out || string(errs) != test.errs {
			t.Errorf("%s: status %d, %q, %q", test.script, status, out, errs)
		}
	}
	much := make([]byte, 10<<20)
	_, _ = rand.Read(much) // never fails
	for _, args := range [][]string{{"run", "staging"}, {"exec", "staging"}} {
		status, out, errs := piped(t, much, append(append([]string{"-C", folder}, args...), "--", "cat")...)
		if status != 0 || !bytes.Equal(out, much) || len(errs) > 0 {
			t.Errorf("%v: status %d, %d bytes of %d came back, the same: %v; %q", args, status, len(out), len(much), bytes.Equal(out, much), errs)
		}
	}
}

// person is somebody at a terminal.
type person struct {
	t        *testing.T
	terminal *os.File
	seen     chan []byte
	all      []byte
}

// atTerminal starts a command on a terminal of 30 rows and 100 columns.
func atTerminal(t *testing.T, args ...string) (*person, *exec.Cmd) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	side, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer side.Close()
	p := &person{t: t, terminal: terminal, seen: make(chan []byte, 1000)}
	p.resize(30, 100)
	command := berthCommand(args...)
	command.Env = append(command.Env, "TERM=xterm")
	command.Stdin, command.Stdout, command.Stderr = side, side, side
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() }) //nolint:errcheck // it has ended mostly
	go func() {
		defer close(p.seen)
		for {
			part := make([]byte, 4096)
			n, err := terminal.Read(part)
			if err != nil {
				return
			}
			p.seen <- part[:n]
		}
	}()
	return p, command
}

func (p *person) resize(rows, columns uint16) {
	p.t.Helper()
	if err := unix.IoctlSetWinsize(int(p.terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := p.terminal.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until the terminal shows a text that was not there before.
func (p *person) sees(text string) {
	p.t.Helper()
	deadline := time.After(time.Minute)
	for !bytes.Contains(p.all, []byte(text)) {
		select {
		case part, open := <-p.seen:
			if !open {
				p.t.Fatalf("the command ended without showing %q:\n%s", text, p.all)
			}
			p.all = append(p.all, part...)
		case <-deadline:
			p.t.Fatalf("the terminal does not show %q:\n%s", text, p.all)
		}
	}
	p.all = p.all[bytes.Index(p.all, []byte(text))+len(text):]
}

func testTerminal(t *testing.T, folder string) {
	began := time.Now()
	p, command := atTerminal(t, "-C", folder, "run", "staging")
	p.sees("$ ")
	t.Logf("a prompt after %s", time.Since(began).Round(10*time.Millisecond))
	p.types("stty size; tty\r")
	p.sees("30 100")
	p.sees("/dev/pts/")
	p.resize(40, 120)
	// The size travels by itself; ask until it is there.
	p.types("until stty size | grep -q '40 120'; do sleep 0.1; done; echo resi''zed\r")
	p.sees("resized")
	p.types("sleep 1000\r")
	p.sees("sleep 1000")
	time.Sleep(time.Second)
	p.types("\x03")
	p.sees("^C")
	p.types("echo it ended with $?.\r")
	p.sees("it ended with 130.")
	p.types("exit 7\r")
	err := command.Wait()
	if command.ProcessState.ExitCode() != 7 {
		t.Errorf("it ended with %v, want status 7", err)
	}
}

func testPsql(t *testing.T) {
	if status, out, errs := piped(t, []byte("SELECT 6 * 7;\n"), "psql", "production", "--", "--tuples-only", "--no-align"); status != 0 || string(out) != "42\n" {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	mustBerth(t, "psql", "production", "-c", "SELECT count(*) FROM goose_db_version").wants(t, 0, "(1 row)")
	for _, statement := range []string{
		"CREATE TABLE e2e_psql (n int)",
		"SET default_transaction_read_only = off; CREATE TABLE e2e_psql (n int)",
		"SET default_transaction_read_only = off; DELETE FROM goose_db_version",
		"SET SESSION AUTHORIZATION app",
		"SET ROLE app",
		"ALTER ROLE berth_reader SUPERUSER",
		"COPY goose_db_version TO PROGRAM 'cat'",
	} {
		o := berth(t, "psql", "production", "-c", statement)
		if o.status == 0 {
			t.Errorf("a session that reads may do this: %s", statement)
		}
	}
	mustBerth(t, "psql", "production", "--write", "-c", "CREATE TABLE e2e_psql (n int)", "-c", "DROP TABLE e2e_psql")
	berth(t, "psql", "staging").wants(t, 1, "staging has no PostgreSQL that berth runs")
}

// New pods of the same revision: nobody notices, and a deploy finds nothing
// that it had to put back.
func testRestart(t *testing.T, c *cluster) {
	mustBerth(t, "deploy", "production") // what berth.yaml says, whatever was tested before
	before := map[string]bool{}
	for _, pod := range c.pods(t, "production", app) {
		before[pod.Name] = true
	}
	underLoad(t, "restart", func() { mustBerth(t, "restart", "production").wants(t, 0, "with new pods: web") })
	after := c.pods(t, "production", app)
	for _, pod := range after {
		if before[pod.Name] || !ready(&pod) {
			t.Errorf("pod %s: there before %v, ready %v", pod.Name, before[pod.Name], ready(&pod))
		}
	}
	if len(after) != 2 {
		t.Errorf("%d pods after the restart", len(after))
	}
	mustBerth(t, "deploy", "production").wants(t, 0, "already")
	for i, pod := range c.pods(t, "production", app) {
		if pod.Name != after[i].Name {
			t.Errorf("the deploy after the restart has replaced pod %s", after[i].Name)
		}
	}
}

func testForward(t *testing.T, c *cluster) {
	o := begin(t, "forward", "production", "18000:8000")
	o.until("127.0.0.1:18000")
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() {
		t.Helper()
		response, err := client.Get("http://127.0.0.1:18000/readyz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("the answer is %s", response.Status)
		}
	}
	ask()
	for _, pod := range c.pods(t, "production", app) {
		if err := c.CoreV1().Pods("production").Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		ask()
		waitFor(t, "another pod", 2*time.Minute, func() error { return c.whole(t, pod.Name) })
		ask()
	}
	o.signal(syscall.SIGINT)
	o.end().wants(t, 0, "connections go to pod")
}
