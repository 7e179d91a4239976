package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/compile"
	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider/local/supervisor"
)

// builder is this machine's BuildKit. Nobody keeps its daemon running: the first
// command that builds starts it, the last one that builds ends it, and what it
// made before is in its cache. So it costs nothing between builds, and builds
// before there is a cluster.
type builder struct{ registry registry }

func (s imageStore) builder() builder { return builder{s.registry} }

func (b builder) layout() layout { return b.registry.layout }

func (b builder) dir(elements ...string) string {
	return b.layout().cached(append([]string{"buildkit"}, elements...)...)
}

func (b builder) socket() string { return b.dir("buildkitd.sock") }
func (b builder) config() string { return b.dir("buildkitd.toml") }
func (b builder) log() string    { return b.dir("buildkitd.log") }
func (b builder) runc() string   { return b.dir("runc") }
func (b builder) programs() string {
	return b.layout().cached("kube", "buildkit-"+compile.BuildKitVersion)
}
func (b builder) program() string { return filepath.Join(b.programs(), "buildkitd") }

// cgroup is where the processes of RUN are, in a group "buildkit" that BuildKit
// adds. Each cache has one of its own: who ends a builder ends no other's builds.
func (b builder) cgroup() string {
	sum := sha256.Sum256([]byte(b.dir()))
	return "berth/builds-" + hex.EncodeToString(sum[:4])
}

// obtain brings BuildKit's programs here unless they are.
func (b builder) obtain(ctx context.Context, source string, release *prebuilt.Release, r progress.Reporter) error {
	for _, program := range compile.BuildKit(source) {
		if err := program.Obtain(ctx, release, filepath.Join(b.programs(), program.Name), r); err != nil {
			return err
		}
	}
	return nil
}

// client is how images are built while the daemon runs.
func (b builder) client() image.BuildKit {
	return image.BuildKit{Client: filepath.Join(b.programs(), "buildctl"), Address: "unix://" + b.socket(), Temp: b.layout().cached("tmp")}
}

// use calls work while the daemon runs.
func (b builder) use(ctx context.Context, work func() error) error {
	if err := os.MkdirAll(b.dir(), 0o700); err != nil { // its socket is for root
		return fmt.Errorf("make the builder's folder: %w", err)
	}
	users, err := openLock(b.dir("users.lock"))
	if err != nil {
		return err
	}
	defer users.Close()
	if err := flock(ctx, users, unix.LOCK_SH); err != nil {
		return err
	}
	// The last one to use it ends it. A command that was killed holds no lock.
	defer func() {
		if unix.Flock(int(users.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			b.end() //nolint:errcheck // the next build or berth down does
		}
	}()
	if err := b.start(ctx); err != nil {
		return err
	}
	return work()
}

// start starts the daemon unless it runs, and returns when it answers.
func (b builder) start(ctx context.Context) error {
	starting, err := openLock(b.dir("start.lock"))
	if err != nil {
		return err
	}
	defer starting.Close()
	if err := flock(ctx, starting, unix.LOCK_EX); err != nil {
		return err
	}
	if b.answers() {
		return nil
	}
	if err := errors.Join(
		replaceFile(b.config(), []byte(b.configuration()), 0o600),
		replaceFile(b.runc(), b.runcScript(), 0o700),
		os.RemoveAll(b.dir("containers")), // those of a daemon that was killed
	); err != nil {
		return fmt.Errorf("write the builder's configuration: %w", err)
	}
	log, err := os.OpenFile(b.log(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open the builder's log: %w", err)
	}
	defer log.Close()
	daemon := exec.Command(b.program(), "--config", b.config())
	daemon.Env = append(daemonEnvironment(os.Environ(), b.registry.network.api().String()), "TMPDIR="+b.layout().cached("tmp"))
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a terminal's Ctrl-C is not for it
	if err := daemon.Start(); err != nil {
		return fmt.Errorf("start the builder: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	// The machine may be busy compiling Kubernetes.
	for patience := patienceFor(func() []int { return []int{daemon.Process.Pid} }, time.Minute); ; {
		if b.answers() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return b.startFailed(fmt.Errorf("it ended: %w", err))
		case <-time.After(20 * time.Millisecond):
		}
		if patience.spent() {
			return b.startFailed(errors.New("it does not answer"))
		}
	}
}

// configuration is buildkitd's own. Builds have this machine's network, as
// their downloads have its name servers, proxies and routes. The least recently
// used of what is cached goes when it is more than the given space.
func (b builder) configuration() string {
	return fmt.Sprintf(`root = %q

[grpc]
  address = [ %q ]

[otel]
  socketPath = %q

[cdi]
  disabled = true

[history]
  maxEntries = 10

[worker.containerd]
  enabled = false

[worker.oci]
  enabled = true
  binary = %q
  networkMode = "host"
  defaultCgroupParent = %q
  gc = true
  reservedSpace = "2GB"
  maxUsedSpace = "10GB"
  minFreeSpace = "2GB"

[registry.%q]
  ca = [ %q ]
`, b.dir("root"), "unix://"+b.socket(), b.dir("otel.sock"), b.runc(), b.cgroup(),
		b.registry.address(), b.registry.caFile())
}

// runcScript is the runc of the daemon, which would keep what it knows of a
// container in /run: there it would stay after a kill, and nobody would know
// whose it is.
func (b builder) runcScript() []byte {
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	return fmt.Appendf(nil, "#!/bin/sh\nexec %s --root %s \"$@\"\n", quoted(b.layout().program("usr/sbin/runc")), quoted(b.dir("containers")))
}

// daemonEnvironment is what the daemon needs of an environment: programs,
// authorities to trust, and proxies, except for an address of this machine's.
func daemonEnvironment(environ []string, own string) []string {
	var environment []string
	direct := own
	for _, variable := range environ {
		switch name, value, _ := strings.Cut(variable, "="); strings.ToUpper(name) {
		case "PATH", "HTTP_PROXY", "HTTPS_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
			environment = append(environment, variable)
		case "NO_PROXY":
			direct = value + "," + own
		}
	}
	return append(environment, "NO_PROXY="+direct)
}

func (b builder) answers() bool {
	connection, err := net.Dial("unix", b.socket())
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

func (b builder) startFailed(err error) error {
	content, _ := os.ReadFile(b.log())
	return fault.WithHint(fmt.Errorf("start the builder: %w: %s", err, lastLines(string(content), 5)), "see its log: %s", b.log())
}

// end stops the daemon, if it runs, and what it leaves when it was killed:
// processes of RUN. Mounts are unmounted with everything else.
func (b builder) end() error {
	var problems []error
	for _, pid := range b.daemons() {
		problems = append(problems, supervisor.End(pid))
	}
	return errors.Join(append(problems, killCgroup(b.cgroup()))...)
}

// daemons are the processes that were started with the builder's configuration.
func (b builder) daemons() []int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	var pids []int
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		if bytes.HasPrefix(content, []byte(b.program()+"\x00--config\x00"+b.config()+"\x00")) {
			if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
