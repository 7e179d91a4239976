package local

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sys/unix"

	"sigs.k8s.io/yaml"

	"berth/internal/provider/local/supervisor"
)

// node is one kubelet with a containerd of its own, on this machine. The first
// is number 1; it stays as long as the cluster does.
type node struct {
	layout  layout
	network network
	number  int
}

func (n node) name() string { return "node-" + strconv.Itoa(n.number) }
func (n node) dir(elements ...string) string {
	return n.layout.in(append([]string{"nodes", n.name()}, elements...)...)
}
func (n node) socket() string         { return n.dir("run", "containerd.sock") }
func (n node) address() string        { return n.network.node(n.number).String() }
func (n node) containerdPart() string { return containerdPrefix + n.name() }
func (n node) kubeletPart() string    { return kubeletPrefix + n.name() }
func (n node) cgroup() string         { return "/berth/" + n.name() }

const (
	containerdPrefix = "containerd-"
	kubeletPrefix    = "kubelet-"
)

// containerd 1.6 and 2 both read this version of the format.
var containerdConfig = template.Must(template.New("containerd").Parse(`version = 2
root = "{{.Root}}"
state = "{{.State}}"
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]

[grpc]
  address = "{{.Socket}}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{{.Pause}}"
  disable_tcp_service = true
  stream_server_address = "{{.Address}}"
  # Lowering a score below the machine's own takes CAP_SYS_RESOURCE, which
  # containers and some virtual machines lack.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{{.Registries}}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    # The registry on this machine has the layers already.
    discard_unpacked_layers = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{{.Runc}}"
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{{.CNI}}"
    conf_dir = "{{.CNIConfig}}"
`))

// configure writes the node's files. Capacity is what it offers to pods.
func (n node) configure(pause string, kubernetes *authority, server string, reserved reservation) error {
	for _, folder := range []string{"root", "run", "cni", "ipam", "kubelet", "volume-plugins", "registries/" + registryName} {
		if err := os.MkdirAll(n.dir(folder), 0o700); err != nil {
			return fmt.Errorf("make folder of %s: %w", n.name(), err)
		}
	}
	var text strings.Builder
	if err := containerdConfig.Execute(&text, map[string]string{
		"Root": n.dir("root"), "State": n.dir("run"), "Socket": n.socket(), "Pause": pause, "Address": n.address(),
		"Registries": n.dir("registries"),
		"Runc":       n.layout.program("usr/sbin/runc"), "CNI": n.layout.program("usr/lib/cni"), "CNIConfig": n.dir("cni"),
	}); err != nil {
		return err
	}
	if err := replaceFile(n.dir("containerd.toml"), []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write containerd's configuration: %w", err)
	}

	// containerd reads this at every pull.
	hosts, err := registry{n.layout, n.network}.hosts()
	if err != nil {
		return err
	}
	if err := replaceFile(n.dir("registries", registryName, "hosts.toml"), []byte(hosts), 0o600); err != nil {
		return fmt.Errorf("tell containerd of the registry: %w", err)
	}

	// Every pod is joined to this machine by a pair of interfaces; routes on
	// the machine do the rest, as all nodes are on it.
	cni, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": "berth",
		"plugins": []any{map[string]any{
			"type": "ptp", "mtu": 1500,
			"ipam": map[string]any{
				"type": "host-local", "dataDir": n.dir("ipam"),
				"ranges": []any{[]any{map[string]any{"subnet": n.network.pods(n.number).String()}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	})
	if err != nil {
		return err
	}
	if err := replaceFile(n.dir("cni", "10-berth.conflist"), cni, 0o600); err != nil {
		return fmt.Errorf("write network configuration: %w", err)
	}

	if err := writeKubeconfig(n.layout, kubernetes, server, "system:node:"+n.name(), "system:nodes"); err != nil {
		return err
	}
	serving := n.layout.pki(n.name() + ".crt")
	if err := kubernetes.issue(serving, "system:node:"+n.name(), "system:nodes", n.name(), n.address()); err != nil {
		return err
	}
	kubelet, err := yaml.Marshal(n.kubeletConfiguration(kubernetes, serving, reserved))
	if err != nil {
		return err
	}
	if err := replaceFile(n.dir("kubelet.yaml"), kubelet, 0o600); err != nil {
		return fmt.Errorf("write the kubelet's configuration: %w", err)
	}
	return makeCgroup(n.cgroup())
}

// evictionMemory is how much free memory a kubelet keeps by evicting pods, in
// bytes. It offers that much less.
const evictionMemory = 100 << 20

// kubeletConfiguration is a KubeletConfiguration (kubelet.config.k8s.io/v1beta1).
func (n node) kubeletConfiguration(kubernetes *authority, serving string, reserved reservation) map[string]any {
	return map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": n.address(), "port": kubeletPort, "readOnlyPort": 0,
		"healthzBindAddress": n.address(), "healthzPort": kubeletHealth,
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": kubernetes.file},
		},
		"authorization":            map[string]any{"mode": "Webhook"},
		"tlsCertFile":              serving,
		"tlsPrivateKeyFile":        keyFile(serving),
		"clusterDomain":            "cluster.local",
		"clusterDNS":               []string{n.network.dns().String()},
		"resolvConf":               n.layout.etc("resolv.conf"),
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               n.cgroup(),
		"enforceNodeAllocatable":   []string{"pods"},
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"makeIPTablesUtilChains":   false,
		"containerRuntimeEndpoint": "unix://" + n.socket(),
		"podLogsDir":               filepath.Join(n.layout.podLogs(), n.name()),
		"volumePluginDir":          n.dir("volume-plugins"),
		"containerLogMaxSize":      "20Mi", "containerLogMaxFiles": 5,
		// The machine's disk is shared with its owner, so its being full says
		// nothing about images. What none needs goes after a deploy.
		"imageGCHighThresholdPercent": 100,
		// One slow pull must not hold up the others.
		"serializeImagePulls": false, "maxParallelImagePulls": 4,
		// The machine's disk is shared with its owner: evict in need, not
		// at the shares of it that suit a machine of its own.
		"evictionHard":              map[string]string{"memory.available": strconv.Itoa(evictionMemory), "nodefs.available": "500Mi", "imagefs.available": "500Mi"},
		"systemReserved":            map[string]string{"cpu": reserved.cpu(), "memory": reserved.memory()},
		"nodeStatusUpdateFrequency": "5s",
		"syncFrequency":             "10s",
		"shutdownGracePeriod":       "0s",
	}
}

// parts are the processes of the node. What they read but at their start is
// named in their environment, so that a change of it starts them again.
func (n node) parts(kubernetes string) ([]supervisor.Part, error) {
	containerdHash, err := hashFile(n.dir("containerd.toml"))
	if err != nil {
		return nil, err
	}
	kubeletHash, err := hashFile(n.dir("kubelet.yaml"))
	if err != nil {
		return nil, err
	}
	path := "PATH=" + strings.Join([]string{n.layout.program("usr/sbin"), n.layout.program("usr/bin"), os.Getenv("PATH")}, ":")
	return []supervisor.Part{
		{
			Name: n.containerdPart(),
			Args: []string{n.layout.program("usr/bin/containerd"), "--config", n.dir("containerd.toml")},
			Env:  []string{path, containerdHash, collectEarly},
		},
		{
			Name: n.kubeletPart(),
			Args: []string{kubernetes, "kubelet",
				"--config", n.dir("kubelet.yaml"),
				"--kubeconfig", n.layout.kubeconfig("system:node:" + n.name()),
				"--root-dir", n.dir("kubelet"),
				"--hostname-override", n.name(),
				"--node-ip", n.address(),
				"--cert-dir", n.dir("kubelet", "pki"),
			},
			Env: []string{path, kubeletHash, collectEarly},
		},
	}, nil
}

func hashFile(name string) (string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	return fmt.Sprintf("CONFIGURATION=%x", sha256.Sum256(content)), nil
}

// processes are the node's containerd and those of its pods.
func (n node) processes() []int {
	pids, _ := cgroupProcesses(n.cgroup()) // a group that is gone has none
	if pid, ok := supervisor.PID(n.layout.supervisor(), n.containerdPart()); ok {
		pids = append(pids, pid)
	}
	return pids
}

const cgroupMount = "/sys/fs/cgroup"

// makeCgroup makes a cgroup in every hierarchy. The kubelet makes its own
// groups only below one that exists.
func makeCgroup(name string) error {
	roots, unified, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		path := root
		for _, element := range strings.Split(strings.Trim(name, "/"), "/") {
			if unified {
				if err := delegate(path); err != nil {
					return err
				}
			}
			path = filepath.Join(path, element)
			if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("make cgroup: %w", err)
			}
			if filepath.Base(root) == "cpuset" {
				if err := inheritCpuset(path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// delegate hands a group's controllers down to its children (cgroup v2).
func delegate(path string) error {
	controllers, err := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read cgroup controllers: %w", err)
	}
	for _, controller := range strings.Fields(string(controllers)) {
		if err := os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("delegate cgroup controller %s: %w", controller, err)
		}
	}
	return nil
}

// inheritCpuset fills in what a new cpuset group of cgroup v1 begins without.
func inheritCpuset(path string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(path), file))
		if err == nil {
			err = os.WriteFile(filepath.Join(path, file), parent, 0o644)
		}
		if err != nil {
			return fmt.Errorf("set %s: %w", file, err)
		}
	}
	return nil
}

// cgroupRoots returns the mount points of the hierarchies: one with cgroup v2,
// one a controller with v1.
func cgroupRoots() (roots []string, unified bool, err error) {
	if exists(filepath.Join(cgroupMount, "cgroup.controllers")) {
		return []string{cgroupMount}, true, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil, false, fmt.Errorf("read cgroups: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() { // links such as cpu,cpuacct name a hierarchy again
			roots = append(roots, filepath.Join(cgroupMount, entry.Name()))
		}
	}
	return roots, false, nil
}

// removeCgroups removes a group and all below it, which must have no process
// left.
func removeCgroups(name string) error {
	roots, _, err := cgroupRoots()
	if err != nil {
		return err
	}
	var problems []error
	for _, root := range roots {
		var groups []string
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		problems = append(problems, err)
		for i := len(groups) - 1; i >= 0; i-- {
			problems = append(problems, os.Remove(groups[i]))
		}
	}
	return errors.Join(problems...)
}

// killCgroup kills every process in a cgroup and those below it.
func killCgroup(name string) error {
	for range 50 {
		processes, err := cgroupProcesses(name)
		if err != nil || len(processes) == 0 {
			return err
		}
		for _, pid := range processes {
			unix.Kill(pid, unix.SIGKILL) //nolint:errcheck // gone already is as good
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("processes of the cgroup %s do not end", name)
}

// cgroupProcesses are the processes in a cgroup and those below it, in every
// hierarchy.
func cgroupProcesses(name string) ([]int, error) {
	roots, _, err := cgroupRoots()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.Name() != "cgroup.procs" {
				return err
			}
			content, _ := os.ReadFile(path) // the group may be gone by now
			for _, line := range strings.Fields(string(content)) {
				if pid, err := strconv.Atoi(line); err == nil {
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list the processes of cgroup %s: %w", name, err)
		}
	}
	return pids, nil
}

// containers connects to the node's containerd.
func (n node) containers(ctx context.Context) (*containers, error) {
	return dialContainers(ctx, n.socket())
}
