// Command vm tries a released berth on what people have: a Debian 13 machine
// with systemd, cgroup v2 and AppArmor, and an ordinary user with sudo. It makes
// such a machine of Debian's packages, boots it in qemu, which emulates its
// processor, and lives a site's life there as that user. `make vm` calls it.
//
// The machine reaches the registry of the release and nothing else. Emulation is
// 10 to 20 times slower than the machine it runs on, so it is also the test that
// berth waits as long as there is progress.
//
// The test ends at the first step that fails, with status 1. What each step took
// and everything that was said there is printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"berth/internal/source"
)

// registryAddress is where the release's registry listens, here and, through
// ssh, in the machine. A released berth knows the address.
const registryAddress = "127.0.0.1:5999"

func main() {
	var t trial
	flag.StringVar(&t.home, "home", "/var/tmp/berth-vm", "folder of the release, the machine's image and logs, kept for the next run")
	flag.StringVar(&t.program, "berth", "", "a released berth to try whose registry listens on "+registryAddress+"; without it a release is made here")
	flag.BoolVar(&t.keep, "keep", false, "leave the machine running after a failure, until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := t.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

// trial is one run of the test.
type trial struct {
	home, program string
	keep          bool

	root  string // berth's source
	guest *guest
	took  []step
}

type step struct {
	name string
	took time.Duration
	err  error
}

// step runs a part of the trial under a heading, and records what it took.
func (t *trial) step(name string, work func() error) error {
	fmt.Printf("\n== %s\n", name)
	began := time.Now()
	err := work()
	s := step{name, time.Since(began), err}
	t.took = append(t.took, s)
	fmt.Printf("== %s: %s\n", s.name, s)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (s step) String() string {
	outcome := "well"
	if s.err != nil {
		outcome = "FAILED"
	}
	return fmt.Sprintf("%s after %s", outcome, s.took.Round(100*time.Millisecond))
}

func (t *trial) run(ctx context.Context) (err error) {
	if t.root, err = source.Root(); err != nil {
		return err
	}
	if err := os.MkdirAll(t.home, 0o755); err != nil {
		return err
	}
	defer t.summary()
	if t.program == "" {
		registry, err := t.serveRegistry()
		if err != nil {
			return err
		}
		defer registry.end()
		if err := t.step("make a release", func() error { return t.release(ctx) }); err != nil {
			return err
		}
	}
	var files image
	if err := t.step("make a Debian 13 machine", func() (err error) {
		files, err = makeImage(ctx, t.home)
		return err
	}); err != nil {
		return err
	}
	if err := t.step("boot it", func() (err error) {
		t.guest, err = boot(ctx, files, filepath.Join(t.home, "console.log"))
		return err
	}); err != nil {
		return err
	}
	defer t.guest.end()
	err = t.live(ctx)
	if err != nil {
		t.explain(ctx)
		if t.keep {
			fmt.Printf("\nThe machine runs until Ctrl-C; to look around:\n  %s\n", strings.Join(t.guest.ssh(), " "))
			<-ctx.Done()
		}
	}
	return err
}

// live is a site's life on the machine, from nothing to nothing.
func (t *trial) live(ctx context.Context) error {
	g := t.guest
	visits := 0
	say := func(script string) func() error { return func() error { return g.run(ctx, script, os.Stdout) } }
	berth := func(arguments string) func() error { return say("cd site && ../berth " + arguments) }
	serves := func(version string) func() error {
		return func() (err error) {
			visits, err = g.visit(ctx, version, visits)
			return err
		}
	}
	var before, after inventory
	for _, part := range []struct {
		name string
		work func() error
	}{
		{"what the machine is", say(introduction)},
		{"bring berth and the application", func() error { return t.bring(ctx) }},
		{"look at the machine before", func() (err error) {
			before, err = g.look(ctx)
			return err
		}},
		{"berth up", berth("up")},
		{"the site serves", serves("one")},
		{"berth up, again", berth("up")},
		{"berth status", say(untilWell)},
		{"a new version of the application", say("cp app.two site/app")},
		{"berth deploy production", berth("deploy production")},
		{"the site serves the new version", serves("two")},
		{"berth rollback production", berth("rollback production")},
		{"the site serves the version before", serves("one")},
		{"berth backup now", berth("backup now")},
		{"reboot", func() error { return g.reboot(ctx) }},
		{"the site serves again, with no command typed", serves("one")},
		{"berth status, again", say(untilWell)},
		{"berth down --purge", berth("down --purge")},
		// Packages stay, and are named. Without them nothing is left.
		{"remove the packages that berth installed", func() (err error) {
			if after, err = g.look(ctx); err != nil {
				return err
			}
			names := before.packages(after)
			if len(names) == 0 {
				return errors.New("berth has installed no package")
			}
			return g.run(ctx, "sudo apt-get --yes --quiet purge "+strings.Join(names, " "), os.Stdout)
		}},
		{"look at the machine after", func() (err error) {
			if after, err = g.look(ctx); err != nil {
				return err
			}
			return before.compare(after)
		}},
	} {
		if err := t.step(part.name, part.work); err != nil {
			return err
		}
	}
	return nil
}

const introduction = `. /etc/os-release
echo "$PRETTY_NAME, Linux $(uname -r), $(systemctl --version | head -1)"
echo "cgroups: $(stat -fc %T /sys/fs/cgroup); AppArmor: $(cat /sys/module/apparmor/parameters/enabled)"
echo "$(nproc) processors, $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MiB"
echo "PATH=$PATH; sudo's: $(sudo sh -c 'echo $PATH')"
id
ls -l /etc/resolv.conf`

// untilWell waits until status finds nothing wrong: after a start the log's
// agent takes a while to say how far it is.
const untilWell = `cd site && for n in $(seq 20); do ../berth status && exit; sleep 15; done; exit 1`

// release makes a release of what is in the source, for this machine's registry.
// What was made by the run before is not made again.
func (t *trial) release(ctx context.Context) error {
	key := filepath.Join(t.home, "release.key")
	if _, err := os.Stat(key); errors.Is(err, os.ErrNotExist) {
		if err := run(ctx, t.root, nil, "openssl", "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key); err != nil {
			return err
		}
	}
	t.program = filepath.Join(t.root, "dist", "linux-amd64", "berth")
	// This machine's own cluster has caches of its own, Go's is everybody's.
	compiled, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("ask for Go's cache: %w", err)
	}
	environment := []string{
		"GOCACHE=" + strings.TrimSpace(string(compiled)),
		"XDG_CACHE_HOME=" + filepath.Join(t.home, "cache"), "XDG_STATE_HOME=" + filepath.Join(t.home, "state"),
	}
	return run(ctx, t.root, environment, "make", "release", "VERSION=v0.1.0", "REGISTRY="+registryAddress, "KEY="+key, "ARGS=--platforms=linux/amd64")
}

// bring copies berth alone and a folder with an application: a Dockerfile of a
// finished static binary, of which there are two versions.
func (t *trial) bring(ctx context.Context) error {
	if err := t.guest.run(ctx, "mkdir -p site", io.Discard); err != nil {
		return err
	}
	files := map[string]string{t.program: "berth"}
	for _, version := range []string{"one", "two"} {
		binary := filepath.Join(t.home, "app."+version)
		if err := run(ctx, t.root, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", binary, "./e2e/vm/app"); err != nil {
			return err
		}
		files[binary] = "app." + version
	}
	for _, name := range []string{"Dockerfile", "berth.yaml"} {
		files[filepath.Join(t.root, "e2e", "vm", "app", name)] = "site/" + name
	}
	for from, to := range files {
		if err := t.guest.copy(ctx, from, to); err != nil {
			return err
		}
	}
	return t.guest.run(ctx, "cp app.one site/app; ls -l . site; cat site/Dockerfile site/berth.yaml", os.Stdout)
}

// explain prints what the machine's own logs say after a failure.
func (t *trial) explain(ctx context.Context) {
	fmt.Println("\n== what the machine says about it")
	if err := t.guest.run(ctx, explanation, os.Stdout); err != nil {
		fmt.Println(err)
	}
}

const explanation = `uptime; free -m
sudo journalctl --boot --no-pager --priority=warning | tail -40
for log in $(sudo sh -c 'ls /var/lib/berth/local/supervisor/logs/*.log' 2>/dev/null); do echo "-- $log"; sudo tail -n 25 "$log"; done
sudo tail -n 25 /var/cache/berth/buildkit/buildkitd.log 2>/dev/null
true`

func (t *trial) summary() {
	if len(t.took) == 0 {
		return
	}
	fmt.Println("\n== summary")
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	var total time.Duration
	for _, s := range t.took {
		fmt.Fprintf(table, "%s\t%s\n", s.name, s)
		total += s.took
	}
	fmt.Fprintf(table, "in all\t%s\n", total.Round(time.Second))
	table.Flush() //nolint:errcheck // it writes to a terminal
}
