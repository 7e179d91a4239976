package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth/internal/fault"
	"berth/internal/provider"
)

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

// oldest are the releases whose containerd speaks with today's Kubernetes.
var oldest = map[string]float64{"debian": 12, "ubuntu": 22.04}

// checkSystem looks whether this is a system that berth finds its packages on.
func checkSystem(h host) provider.Check {
	c := provider.Check{Name: "system"}
	release := h.osRelease()
	name := release["PRETTY_NAME"]
	if name == "" {
		name = "this system"
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		c.Problem = name + " has no apt-get"
		c.Remedy = "berth takes etcd, containerd and PostgreSQL from Debian's packages: run it on Debian or Ubuntu, in a virtual machine say"
		return c
	}
	version, err := strconv.ParseFloat(release["VERSION_ID"], 64)
	if need := oldest[release["ID"]]; err == nil && version < need {
		c.Problem = fmt.Sprintf("the containerd of %s is too old for Kubernetes", name)
		c.Remedy = "upgrade to Debian 12, Ubuntu 22.04 or newer"
	}
	return c
}

// neededMemory is in bytes. Measured: 2 GiB with one node, and what compiling takes.
const neededMemory = 3 << 30

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
