//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// machine is all of a machine's state that a cluster changes, as lines that
// tell one thing each.
type machine map[string]string

const recorded = home + "/machine.json"

// recordMachine keeps how this machine is before the first up.
func recordMachine() error {
	now, err := lookAtMachine()
	if err != nil {
		return fmt.Errorf("look at this machine: %w", err)
	}
	content, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	return os.WriteFile(recorded, content, 0o600)
}

// recordedMachine is this machine as it was before the first up.
func recordedMachine() (machine, error) {
	content, err := os.ReadFile(recorded)
	if err != nil {
		return nil, err
	}
	var then machine
	return then, json.Unmarshal(content, &then)
}

// changes tells what became different.
func (then machine) changes(now machine) []string {
	var all []string
	for what, value := range now {
		if was, ok := then[what]; !ok {
			all = append(all, "new: "+what+" "+value)
		} else if was != value {
			all = append(all, fmt.Sprintf("changed: %s was %q, is %q", what, was, value))
		}
	}
	for what := range then {
		if _, ok := now[what]; !ok {
			all = append(all, "gone: "+what)
		}
	}
	slices.Sort(all)
	return all
}

func lookAtMachine() (machine, error) {
	m := machine{}
	return m, errors.Join(m.processes(), m.mounts(), m.network(), m.tables(), m.cgroups(), m.kernel(), m.files(), m.sysctls(), m.listeners())
}

// processes are those of the tests' cluster; others come and go.
func (m machine) processes() error {
	pids, err := clusterProcesses()
	for pid, line := range pids {
		m[fmt.Sprintf("process %d %s", pid, line)] = ""
	}
	return err
}

// clusterProcesses are the cluster's own and those in its pods, with their
// command lines.
func clusterProcesses() (map[int]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	pids := map[int]string{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // no process
		}
		line := commandLine(pid)
		groups, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cgroup"))
		if err != nil || line == "" {
			continue // it has ended meanwhile
		}
		if strings.Contains(line, home+"/") || strings.Contains(string(groups), "/berth/") {
			pids[pid] = line
		}
	}
	return pids, nil
}

func (m machine) mounts() error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 {
			m["mount "+fields[4]] = ""
		}
	}
	return lines.Err()
}

func (m machine) network() error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, link := range links {
		m["link "+link.Attrs().Name] = ""
		addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, address := range addresses {
			m["address "+address.IPNet.String()+" of "+link.Attrs().Name] = ""
		}
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for _, route := range routes {
		m["route "+route.String()] = ""
	}
	return nil
}

// tables are those of nftables, iptables' own among them.
func (m machine) tables() error {
	output, err := exec.Command("nft", "list", "ruleset").Output()
	if err != nil {
		return fmt.Errorf("list nftables (apt-get install nftables): %w", err)
	}
	table := ""
	for line := range strings.Lines(string(output)) {
		if strings.HasPrefix(line, "table ") {
			table = strings.TrimSuffix(strings.TrimSpace(line), " {")
			m[table] = ""
		}
		m[table] += line
	}
	return nil
}

func (m machine) cgroups() error {
	for _, pattern := range []string{"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range found {
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				m["cgroup "+path] = ""
			}
		}
	}
	return nil
}

// kernel is what containerd and a kubelet leave in the kernel: AppArmor's
// profiles, and the controllers that the root cgroup hands on.
func (m machine) kernel() error {
	for _, file := range []string{"/sys/kernel/security/apparmor/profiles", "/sys/fs/cgroup/cgroup.subtree_control"} {
		content, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		m["kernel "+file] = string(content)
	}
	return nil
}

// files are those where Kubernetes, containerd, CNI plugins and BuildKit put
// theirs unless they are told otherwise, or even so.
func (m machine) files() error {
	for _, folder := range []string{
		"/etc/buildkit", "/etc/cni", "/etc/kubernetes", "/opt/cni", "/opt/containerd", "/run/containerd", "/run/containers", "/run/podman", "/run/buildkit", "/run/netns",
		"/etc/systemd/system/berth.service",
		"/run/runc", "/run/xtables.lock", "/usr/libexec/kubernetes", "/var/lib/calico", "/var/lib/cni",
		"/var/lib/containerd", "/var/lib/buildkit", "/var/lib/etcd", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods",
		"/var/run/kubernetes",
	} {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			m["file "+path] = ""
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, pattern := range []string{"/tmp/berth-*", "/tmp/buildkit*", "/tmp/containerd*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range found {
			m["file "+path] = ""
		}
	}
	return nil
}

// sysctls are those that a kubelet, kube-proxy or CNI plugins are known to set.
func (m machine) sysctls() error {
	for _, pattern := range []string{
		"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_max*", "vm/overcommit_memory", "vm/panic_on_oom", "vm/max_map_count",
		"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/*", "net/ipv4/conf/default/*", "net/ipv4/conf/lo/*",
		"net/ipv4/vs/*", "net/bridge/*", "net/core/somaxconn", "fs/inotify/*", "fs/file-max", "net/netfilter/nf_conntrack_max",
	} {
		found, err := filepath.Glob(filepath.Join("/proc/sys", pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if content, err := os.ReadFile(path); err == nil {
				m["sysctl "+path] = strings.TrimSpace(string(content))
			}
		}
	}
	return nil
}

func (m machine) listeners() error {
	found, err := listening()
	for _, listener := range found {
		m["listener "+listener.String()] = ""
	}
	return err
}
