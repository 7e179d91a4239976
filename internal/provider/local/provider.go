// Package local is the provider on this machine: a real Kubernetes with no
// Docker and no account.
//
// The control plane, DNS, the bucket, the registry and each node's containerd
// and kubelet are processes that package supervisor keeps running. All nodes share this
// machine's network, so the network between pods needs only routes that the kernel
// has anyway. Everything that must survive is below one state folder, everything else
// can be made again, and stopping restores the machine's own settings.
//
// Start at [Provider.Init] (init.go). The files stand on floors, and call down:
//
//   - verbs: boot, keeprules, init, cluster, scale, stop, publish, export, prune, bucket
//   - their steps: preflight*, listener, start, tools, imagehold, and provider itself
//   - images: images, lastbuild, standin, builder, ownimages, reach
//   - processes: controlplane, metrics, grants, node, kubeconfig, registry*, parts, apiserver
//   - this machine: machine, packages, systemd, network, firewall, ruleset, containers, sweep, size
//   - ground: layout, state, lock, pki, addresses, host, cgroup, files, commands, wait
package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"berth/internal/config"
	"berth/internal/prebuilt"
	"berth/internal/provider"
)

// Provider is the cluster on this machine. There is one a machine.
type Provider struct {
	config  config.Local
	layout  layout
	network network
	images  imageStore
	release *prebuilt.Release

	prepared struct {
		sync.Mutex
		done bool
	}
	making atomic.Bool // while Init is at work
	held   imageHold
}

// New returns the provider with the settings of berth.yaml.
func New(c *config.Config) (*Provider, error) {
	l, err := defaultLayout()
	if err != nil {
		return nil, err
	}
	prefix, err := netip.ParsePrefix(c.Local.Network)
	if err != nil {
		return nil, fmt.Errorf("read local.network: %w", err)
	}
	n := network{prefix}
	return newProvider(c.Local, l, n), n.askNoProxy()
}

// reopen returns the provider of the cluster that was made here, without its
// berth.yaml, or none.
func reopen() (*Provider, state, error) {
	l, err := defaultLayout()
	if err != nil {
		return nil, state{}, err
	}
	found := Provider{layout: l}
	s, err := found.loadState()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s, nil
	}
	if err != nil {
		return nil, s, fmt.Errorf("read the cluster's state: %w", err)
	}
	prefix, err := netip.ParsePrefix(s.Network)
	if err != nil {
		return nil, s, fmt.Errorf("read the cluster's network: %w", err)
	}
	return newProvider(config.Local{Network: s.Network, Size: s.Size}, l, network{prefix}), s, nil
}

func newProvider(c config.Local, l layout, n network) *Provider {
	if os.Geteuid() == 0 {
		// Other users read what is made here: containers', apt's, and who trusts the
		// authority. Hardened machines give root a umask that keeps them out.
		unix.Umask(0o022)
	}
	return &Provider{config: c, layout: l, network: n, images: imageStore{registry: registry{l, n}, reach: &reach{}}}
}

// TakeFrom has the provider take from a release of berth what that has built
// already.
func (p *Provider) TakeFrom(release *prebuilt.Release) { p.release = release }

// NeedsRoot reports whether the caller cannot work on this machine's cluster:
// its processes and its files are root's.
func (p *Provider) NeedsRoot() bool { return os.Geteuid() != 0 }

// Traits implements provider.Provider.
func (p *Provider) Traits() provider.Traits { return Traits() }

// Traits are those of the cluster on this machine.
func Traits() provider.Traits {
	return provider.Traits{
		Cluster: "local", Here: true, Owned: true, CheckSize: config.CheckSize,
		Removes: []string{"the cluster itself with its nodes, volumes and bucket"},
		Keeps:   []string{"berth.yaml, .env and installed packages"},
	}
}
