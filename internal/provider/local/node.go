package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

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

func (p *Provider) node(number int) node { return node{p.layout, p.network, number} }

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

// processes are the node's containerd and those of its pods.
func (n node) processes() []int {
	pids, _ := cgroupProcesses(n.cgroup()) // a group that is gone has none
	if pid, ok := supervisor.PID(n.layout.supervisor(), n.containerdPart()); ok {
		pids = append(pids, pid)
	}
	return pids
}

// containers connects to the node's containerd.
func (n node) containers(ctx context.Context) (*containers, error) {
	return dialContainers(ctx, n.socket())
}

// clean removes what a node's containerd and kubelet leave outside its files.
func (n node) clean() error {
	return errors.Join(sweep(n.dir()), removeCgroups(strings.TrimPrefix(n.cgroup(), "/")))
}
