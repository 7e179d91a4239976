package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// guest is the virtual machine.
type guest struct {
	qemu  *process
	image image
	port  int // of its sshd, on the loopback interface
}

// boot starts the machine and returns when it has booted. Its disk is a copy
// that lives as long as the machine does. Of networks it has one that leads
// nowhere but to what is forwarded here: its sshd.
func boot(ctx context.Context, files image, console string) (*guest, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &guest{image: files, port: listener.Addr().(*net.TCPAddr).Port}
	listener.Close()
	g.qemu, err = start(console, "qemu-system-x86_64",
		"-machine", "q35", "-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max,la57=off", "-smp", "2", "-m", "4096",
		"-nodefaults", "-display", "none", "-serial", "stdio",
		"-kernel", files.file("vmlinuz"), "-initrd", files.file("initrd"),
		// Reading the clock must not leave the emulated processor. Its timer and its
		// services are late while this machine is busy. What guards against a real
		// one's faults guards nobody here.
		"-append", "root=/dev/vda rw console=ttyS0 quiet tsc=reliable no_timer_check mitigations=off "+
			"nowatchdog systemd.service_watchdogs=0 systemd.default_timeout_start_sec=1h systemd.default_device_timeout_sec=1h",
		"-drive", "file="+files.file("root.img")+",format=raw,if=virtio,snapshot=on,cache=unsafe",
		"-device", "virtio-rng-pci",
		"-netdev", fmt.Sprintf("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22", g.port),
		"-device", "virtio-net-pci,netdev=net",
	)
	if err != nil {
		return nil, err
	}
	if err := g.booted(ctx, ""); err != nil {
		g.end()
		return nil, err
	}
	return g, nil
}

func (g *guest) end() {
	g.qemu.end()
	exec.Command("ssh", "-O", "exit", "-o", "ControlPath="+g.control(), "ada@127.0.0.1").Run() //nolint:errcheck // it ended with the machine
}

// control is the socket of the connection that all commands share.
func (g *guest) control() string { return fmt.Sprintf("/run/berth-vm-%d", g.port) }

// patience is how long the machine may take to let somebody in, or its site to
// serve: beside other work on this machine emulation takes very long.
const patience = 2 * time.Hour

// booted waits until the machine has booted, again if it had before, and says
// how it is.
func (g *guest) booted(ctx context.Context, before string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		now, err := g.bootID(ctx)
		if err == nil && now != before {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody gets in: %w", errors.Join(ctx.Err(), err))
		case err := <-g.qemu.ended:
			g.qemu.ended <- err // for end
			return fmt.Errorf("qemu ended: %w", err)
		case <-time.After(2 * time.Second):
		}
	}
	return g.run(ctx, "systemd-analyze time 2>/dev/null || true; uptime", os.Stdout)
}

func (g *guest) bootID(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var id, trouble bytes.Buffer
	command := g.command(ctx, "cat /proc/sys/kernel/random/boot_id")
	command.Stdout, command.Stderr = &id, &trouble
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(trouble.String()))
	}
	return id.String(), nil
}

// reboot has the user reboot the machine.
func (g *guest) reboot(ctx context.Context) error {
	before, err := g.bootID(ctx)
	if err != nil {
		return err
	}
	// The connection may break before the command has ended.
	g.run(ctx, "sudo systemctl reboot", io.Discard) //nolint:errcheck // the next boot tells
	return g.booted(ctx, before)
}

// ssh is the command line that gets into the machine as its user. The release's
// registry is then where it is here.
func (g *guest) ssh() []string {
	return []string{"ssh", "-F", "none", "-p", strconv.Itoa(g.port), "-i", g.image.file("key"),
		"-o", "UserKnownHostsFile=" + g.image.file("known_hosts"), "-o", "HostKeyAlgorithms=ssh-ed25519", "-o", "BatchMode=yes",
		"-o", "ConnectTimeout=90", "-o", "LogLevel=ERROR", "-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=10",
		// One connection for all: a handshake takes the machine seconds.
		"-o", "ControlMaster=auto", "-o", "ControlPersist=10m", "-o", "ControlPath=" + g.control(),
		"-R", registryAddress + ":" + registryAddress,
		"ada@127.0.0.1"}
}

// run runs a command as the machine's user and writes what it says.
func (g *guest) run(ctx context.Context, script string, out io.Writer) error {
	return g.feed(ctx, script, nil, out)
}

func (g *guest) command(ctx context.Context, script string) *exec.Cmd {
	line := append(g.ssh(), script)
	return exec.CommandContext(ctx, line[0], line[1:]...)
}

func (g *guest) feed(ctx context.Context, script string, in io.Reader, out io.Writer) error {
	command := g.command(ctx, script)
	command.Stdin, command.Stdout, command.Stderr = in, out, os.Stdout
	return command.Run()
}

// copy brings a file into the user's home folder, with its permissions.
func (g *guest) copy(ctx context.Context, from, to string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := g.feed(ctx, fmt.Sprintf("cat >%s && chmod %o %[1]s", to, info.Mode().Perm()), file, io.Discard); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

var page = regexp.MustCompile(`^version (\w+), visit (\d+)\n$`)

// visit asks the site, as somebody on the machine does, until a version answers
// by HTTPS. It returns the count of visits, which is more than before.
func (g *guest) visit(ctx context.Context, version string, before int) (int, error) {
	began := time.Now()
	for {
		var said bytes.Buffer
		err := g.run(ctx, "curl --silent --show-error --fail --max-time 60 --cacert /var/lib/berth/ca.crt https://visits.localhost:8443/", &said)
		if match := page.FindStringSubmatch(said.String()); err == nil && match != nil && match[1] == version {
			visits, err := strconv.Atoi(match[2])
			if err == nil && visits <= before {
				err = fmt.Errorf("%d visits were counted before, now %d", before, visits)
			}
			fmt.Print(said.String())
			return visits, err
		}
		if time.Since(began) > patience {
			return before, fmt.Errorf("version %s does not answer: %w %s", version, err, strings.TrimSpace(said.String()))
		}
		if err := sleep(ctx, 5*time.Second); err != nil {
			return before, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
