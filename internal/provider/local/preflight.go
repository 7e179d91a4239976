package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/fault"
	"berth/internal/provider"
)

const (
	neededDisk   = 8 << 30 // bytes; measured: 5 GiB with Go's caches
	neededInodes = 200_000
	neededMemory = 3 << 30 // bytes; measured: 2 GiB with one node, and what compiling takes
)

// Check looks at everything that this machine must have before anything is
// changed on it.
func (p *Provider) Check(ctx context.Context) []provider.Check {
	checks := []provider.Check{checkRoot()}
	if p.release == nil { // else what it takes may all be built already
		checks = append(checks, checkProgram("go", "install Go 1.26 or newer: https://go.dev/doc/install"))
	}
	checks = append(checks,
		checkSystem(thisHost),
		checkContainer(thisHost),
		p.checkFolders(thisHost),
		p.checkDisk(),
		checkMemory(),
		p.checkClock(time.Now()),
		checkCgroups(),
		checkOverlay(thisHost),
		checkLimits(thisHost, openFiles()),
		p.checkAttributes(),
		p.checkFirewall(ctx),
	)
	// What the cluster holds itself is not in its way.
	if !p.holdsNetwork() {
		checks = append(checks, p.checkNetwork(), p.checkPorts())
	}
	return checks
}

// holdsNetwork reports whether the cluster's network is up: its processes or
// its pods may be running, even if nobody supervises them. (Settings that were
// changed and not put back tell this cluster from one with another state
// folder, and the address an interrupted cluster from one before a reboot.)
func (p *Provider) holdsNetwork() bool {
	addresses, err := net.InterfaceAddrs()
	return err == nil && exists(p.layout.machine()) && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == p.network.api()
	})
}

// MissingPackages returns the Debian packages that Init will install.
func (p *Provider) MissingPackages() []string {
	missing := missingPackages()
	slices.Sort(missing)
	return missing
}

// preflight makes the problems that Check finds one error.
func (p *Provider) preflight(ctx context.Context) error {
	var problems []error
	var remedies []string
	for _, check := range p.Check(ctx) {
		if check.Problem != "" {
			problems = append(problems, fmt.Errorf("%s: %s", check.Name, check.Problem))
			remedies = append(remedies, check.Remedy)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fault.WithHint(fmt.Errorf("this machine is not ready: %w", errors.Join(problems...)), "%s", strings.Join(remedies, "; "))
}

func checkRoot() provider.Check {
	c := provider.Check{Name: "root"}
	if os.Geteuid() != 0 {
		c.Problem = "a kubelet makes mounts, networks and cgroups, which needs root"
		c.Remedy = "run the same command with sudo"
	}
	return c
}

func checkProgram(name, remedy string) provider.Check {
	c := provider.Check{Name: name}
	if _, err := exec.LookPath(name); err != nil {
		c.Problem, c.Remedy = "not found", remedy
	}
	return c
}

func (p *Provider) checkDisk() provider.Check {
	c := provider.Check{Name: "disk space"}
	if exists(p.layout.cluster()) {
		return c // a cluster that was made has what it takes
	}
	for _, folder := range []string{p.layout.state, p.layout.cache} {
		var stat unix.Statfs_t
		if err := unix.Statfs(existingParent(folder), &stat); err != nil {
			c.Problem = err.Error()
			return c
		}
		if free := stat.Bavail * uint64(stat.Bsize); free < neededDisk {
			c.Problem = fmt.Sprintf("%d GiB free at %s, %d needed", free>>30, folder, neededDisk>>30)
			c.Remedy = "free some, or name folders on a larger disk in XDG_STATE_HOME and XDG_CACHE_HOME"
		} else if stat.Files > 0 && stat.Ffree < neededInodes {
			c.Problem = fmt.Sprintf("%d free inodes at %s, %d needed", stat.Ffree, folder, neededInodes)
			c.Remedy = "remove files, or name folders on another disk in XDG_STATE_HOME and XDG_CACHE_HOME"
		}
	}
	return c
}

func checkMemory() provider.Check {
	c := provider.Check{Name: "memory"}
	total, err := machineMemory()
	if err != nil {
		c.Problem = err.Error()
	} else if total < neededMemory {
		c.Problem = fmt.Sprintf("%d MiB, %d needed", total>>20, neededMemory>>20)
		c.Remedy = "run berth on a larger machine"
	}
	return c
}

// checkClock finds a clock that is behind. No certificate is valid yet to it:
// neither those of the places that packages and images come from nor, on a
// machine that was right once, the cluster's.
func (p *Provider) checkClock(now time.Time) provider.Check {
	c := provider.Check{Name: "clock"}
	known := []string{p.layout.pki("kubernetes-ca.crt")}
	if program, err := os.Executable(); err == nil {
		known = append(known, program)
	}
	for _, file := range known {
		// A day, as the clock of the machine that made the file may differ.
		if info, err := os.Stat(file); err == nil && now.Before(info.ModTime().Add(-24*time.Hour)) {
			c.Problem = fmt.Sprintf("it is %s by this machine's clock, and %s was made on %s", now.Format(time.DateOnly), file, info.ModTime().Format(time.DateOnly))
			c.Remedy = "set it: sudo timedatectl set-ntp true, or sudo date --set=…"
		}
	}
	return c
}

func checkCgroups() provider.Check {
	c := provider.Check{Name: "cgroups"}
	roots, unified, err := cgroupRoots()
	if err != nil {
		c.Problem, c.Remedy = err.Error(), "mount cgroups at "+cgroupMount
		return c
	}
	var have []string
	if unified {
		content, err := os.ReadFile(filepath.Join(cgroupMount, "cgroup.controllers"))
		if err != nil {
			c.Problem = err.Error()
			return c
		}
		have = strings.Fields(string(content))
	} else {
		for _, root := range roots {
			have = append(have, filepath.Base(root))
		}
	}
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !slices.ContainsFunc(have, func(h string) bool { return slices.Contains(strings.Split(h, ","), controller) }) {
			c.Problem = "no controller " + controller
			c.Remedy = "enable it on the kernel's command line: cgroup_enable=" + controller
			if kind := thisHost.container(); kind != "" && kind != "wsl" {
				c.Remedy = "this is a container (" + kind + "): its host has to delegate the controller to it"
			}
		}
	}
	return c
}

func checkOverlay(h host) provider.Check {
	c := provider.Check{Name: "overlay file system"}
	if slices.Contains(h.words("/proc/filesystems"), "overlay") {
		return c
	}
	output, err := exec.Command("modprobe", "overlay").CombinedOutput()
	switch {
	case err == nil:
	case errors.Is(err, exec.ErrNotFound):
		c.Problem = "the module overlay is not loaded, and there is no modprobe to load it"
		c.Remedy = "apt-get install kmod"
	case os.Geteuid() != 0:
		// Root may load it, so nothing is known to be wrong yet.
	default:
		c.Problem = "the kernel cannot load the module overlay: " + lastLines(string(output), 1)
		c.Remedy = "boot a kernel that has it: Debian's and Ubuntu's have it; after a kernel upgrade, reboot to get its modules"
	}
	return c
}

// checkAttributes looks whether the bucket's folder can keep what the S3
// gateway knows of objects.
func (p *Provider) checkAttributes() provider.Check {
	c := provider.Check{Name: "extended attributes"}
	folder := existingParent(p.layout.state)
	file, err := os.CreateTemp(folder, ".berth-check-")
	if err != nil {
		if !errors.Is(err, os.ErrPermission) { // which is told of as root
			c.Problem = err.Error()
		}
		return c
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := unix.Fsetxattr(int(file.Fd()), "user.berth", []byte("1"), 0); err != nil {
		c.Problem = fmt.Sprintf("the file system of %s has none: %v", folder, err)
		c.Remedy = "name a folder on ext4, xfs or btrfs in XDG_STATE_HOME"
	}
	return c
}

func (p *Provider) checkNetwork() provider.Check {
	c := provider.Check{Name: "network " + p.network.String()}
	taken, err := p.network.overlap()
	if err == nil && taken == "" {
		taken, err = p.network.addressIn()
	}
	if err != nil {
		c.Problem = err.Error()
	} else if taken != "" {
		c.Problem = "in use: " + taken
		c.Remedy = "name another private /16 in berth.yaml: local.network"
	}
	return c
}

// checkPorts looks whether berth can listen where it wants to, and says who
// does already. The cluster's own addresses are not there yet: in their way is
// who listens on all addresses.
func (p *Provider) checkPorts() provider.Check {
	c := provider.Check{Name: "ports"}
	var problems, remedies []string
	look := func(network, address string, options net.ListenConfig, remedy string) {
		err := tryListen(network, address, options)
		if err == nil {
			return
		}
		problem := address + ": " + listenProblem(err)
		if parsed, perr := netip.ParseAddrPort(address); perr == nil {
			if who := listener(network, parsed); who != "" {
				problem = fmt.Sprintf("%s is taken by %s", address, who)
			}
		}
		problems = append(problems, problem)
		if !slices.Contains(remedies, remedy) {
			remedies = append(remedies, remedy)
		}
	}
	look("tcp", p.config.HTTP, net.ListenConfig{}, "name another address in berth.yaml: local: {http: "+otherPort(p.config.HTTP)+"}")
	look("tcp", p.config.HTTPS, net.ListenConfig{}, "name another address in berth.yaml: local: {https: "+otherPort(p.config.HTTPS)+"}")
	for _, port := range []int{etcdPort, etcdPeerPort, managerPort, schedulerPort, proxyPort, proxyHealth, ingressStatus} {
		look("tcp", fmt.Sprintf("127.0.0.1:%d", port), net.ListenConfig{}, "end what listens on berth's own ports (sudo ss -ltnp shows it)")
	}
	// IP_FREEBIND takes an address that is not there.
	free := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) }); failed != nil {
			return failed
		}
		return err
	}}
	for _, own := range p.ownAddresses() {
		look("tcp", own.String(), free, everywhere)
		if own.Port() == dnsPort {
			look("udp", own.String(), free, everywhere)
		}
	}
	c.Problem, c.Remedy = strings.Join(problems, ", "), strings.Join(remedies, "; ")
	return c
}

const everywhere = "let it listen on addresses of its own, 127.0.0.1 say, and not on all of them, or end it"

// ownAddresses are where the cluster listens in its own network.
func (p *Provider) ownAddresses() []netip.AddrPort {
	all := []netip.AddrPort{
		netip.AddrPortFrom(p.network.api(), apiPort),
		netip.AddrPortFrom(p.network.api(), bucketPort),
		netip.AddrPortFrom(p.network.api(), registryPort),
		netip.AddrPortFrom(p.network.api(), metricsPort),
		netip.AddrPortFrom(p.network.dns(), dnsPort),
	}
	for _, port := range []uint16{kubeletPort, kubeletHealth} { // a program that takes one node's takes all nodes'
		all = append(all, netip.AddrPortFrom(p.network.node(1), port))
	}
	return all
}

// tryListen is an error when nobody can listen at an address.
func tryListen(network, address string, options net.ListenConfig) error {
	var socket io.Closer
	var err error
	if network == "udp" {
		socket, err = options.ListenPacket(context.Background(), network, address)
	} else {
		socket, err = options.Listen(context.Background(), network, address)
	}
	if err != nil {
		return err
	}
	return socket.Close()
}

func listenProblem(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "in use"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "this machine has no such address"
	case errors.Is(err, unix.EACCES):
		return "a port that only root may listen on"
	}
	return err.Error()
}

// otherPort suggests an address beside one that is taken.
func otherPort(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return address
	}
	if number < 1024 {
		return net.JoinHostPort(host, strconv.Itoa(8000+number))
	}
	return net.JoinHostPort(host, strconv.Itoa(number+10))
}
