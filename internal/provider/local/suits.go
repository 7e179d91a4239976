package local

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"berth/internal/provider"
)

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

// withoutLayers are the kinds of file systems that the kernel lays no others over, or
// that do not keep owners, links and devices as images have them.
var withoutLayers = []string{"overlay", "aufs", "nfs", "nfs4", "cifs", "smb3", "vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "9p", "virtiofs", "ecryptfs", "drvfs", "vboxsf", "fuse.sshfs", "fuse.gocryptfs"}

// longestSocket is what the address of a Unix socket may have.
const longestSocket = 107

// checkFolders looks whether programs and containers can run from berth's folders.
func (p *Provider) checkFolders(h host) provider.Check {
	c := provider.Check{Name: "folders"}
	const remedy = "name other folders in XDG_STATE_HOME and XDG_CACHE_HOME"
	for _, folder := range []string{p.layout.state, p.layout.cache} {
		c.Remedy = remedy
		on := folder
		there := existingParent(folder)
		if real, err := filepath.EvalSymlinks(there); err == nil {
			on = filepath.Join(real, strings.TrimPrefix(folder, there))
		}
		m := h.mountOf(on)
		switch {
		case strings.ContainsAny(folder, ":,"):
			c.Problem = fmt.Sprintf("%s has a colon or a comma in it, which mounts of containers cannot have", folder)
		case slices.Contains(m.options, "ro"):
			c.Problem = fmt.Sprintf("%s is mounted read-only, and berth writes to %s", m.at, folder)
		case slices.Contains(m.options, "noexec"):
			c.Problem = fmt.Sprintf("%s is mounted noexec, and programs run from %s", m.at, folder)
			c.Remedy = fmt.Sprintf("mount -o remount,exec %s; or %s", m.at, remedy)
		case folder == p.layout.state && slices.Contains(withoutLayers, m.kind):
			c.Problem = fmt.Sprintf("the file system of %s is %s, which cannot hold the layers of containers", folder, m.kind)
			c.Remedy = remedy + ", on ext4, xfs or btrfs"
		default:
			c.Remedy = ""
			continue
		}
		return c
	}
	// containerd's own sockets are beside this one, with a longer name.
	if socket := p.node(99).socket() + ".ttrpc"; len(socket) > longestSocket {
		c.Problem = fmt.Sprintf("%s is too long a path: sockets in it would have %d characters, and may have %d", p.layout.state, len(socket), longestSocket)
		c.Remedy = "name a shorter folder in XDG_STATE_HOME"
	}
	return c
}

// checkContainer looks whether the kernel's settings may be changed, which is not so in
// a container without privileges.
func checkContainer(h host) provider.Check {
	c := provider.Check{Name: "kernel settings"}
	for _, at := range []string{"/proc/sys", cgroupMount} {
		m := h.mountOf(at)
		// With cgroup v1, a read-only tmpfs holds the mounts of the controllers.
		if m.at != at || !slices.Contains(m.options, "ro") || at == cgroupMount && m.kind != "cgroup2" {
			continue
		}
		c.Problem = at + " is read-only"
		c.Remedy = "run berth on the machine itself"
		if kind := h.container(); kind != "" {
			c.Problem += ", because this is a container (" + kind + ")"
			c.Remedy += ", or in a container with all privileges and cgroups of its own, like docker run --privileged --cgroupns=private"
		}
		return c
	}
	return c
}

const (
	// What a control plane with a node watches and holds open.
	neededInstances, neededWatches, neededFiles = 64, 8192, 8192
)

// checkLimits looks for limits that end kubelets and containerd with "too many open
// files" later. most is how many files root may open.
func checkLimits(h host, most uint64) provider.Check {
	c := provider.Check{Name: "limits"}
	for name, need := range map[string]int{"fs.inotify.max_user_instances": neededInstances, "fs.inotify.max_user_watches": neededWatches} {
		words := h.words("/proc/sys", strings.ReplaceAll(name, ".", "/"))
		if len(words) == 0 {
			continue
		}
		if have, err := strconv.Atoi(words[0]); err == nil && have < need {
			c.Problem = fmt.Sprintf("%s is %d, %d needed", name, have, need)
			c.Remedy = fmt.Sprintf("sudo sysctl -w %s=%d", name, 8*need)
		}
	}
	if most < neededFiles {
		c.Problem = fmt.Sprintf("a process may open %d files, %d needed", most, neededFiles)
		c.Remedy = "ulimit -Hn 65536, as root; /etc/security/limits.conf keeps it"
	}
	return c
}

// openFiles is how many files a process of root may come to open.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return neededFiles // nothing is known to be wrong
	}
	return limit.Max
}

// addressIn returns an address of this machine in the network, and who has it.
func (n network) addressIn() (string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	for _, one := range interfaces {
		addresses, err := one.Addrs()
		if err != nil {
			return "", fmt.Errorf("list addresses of %s: %w", one.Name, err)
		}
		for _, address := range addresses {
			if prefix, err := netip.ParsePrefix(address.String()); err == nil && n.Contains(prefix.Addr()) {
				return fmt.Sprintf("%s by %s", prefix.Addr(), one.Name), nil
			}
		}
	}
	return "", nil
}

// probeTables asks the kernel for nftables, without its program: the kernel loads the
// module for it.
func probeTables() error {
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	request.AddRawData([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0})
	if _, err := request.Execute(unix.NETLINK_NETFILTER, 0); err != nil {
		return fmt.Errorf("ask the kernel for nftables: %w", err)
	}
	return nil
}
