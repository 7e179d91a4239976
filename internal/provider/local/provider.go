// Package local is the provider on this machine: a real Kubernetes with no
// Docker and no account.
//
// The control plane, DNS, the bucket, the registry and each node's containerd
// and kubelet are processes that package supervisor keeps running. All nodes share this
// machine's network, so the network between pods needs only routes that the kernel
// has anyway. Everything that must survive is below one state folder, everything else
// can be made again, and stopping restores the machine's own settings.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"

	"berth/internal/compile"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/prebuilt"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/source"
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

// Init implements provider.Provider.
func (p *Provider) Init(ctx context.Context, r progress.Reporter) error {
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	p.making.Store(true)
	defer p.making.Store(false)
	if err := p.preflight(ctx); err != nil {
		return err
	}
	root, err := source.Root()
	if err != nil {
		return err
	}
	s, err := p.loadState()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = state{Network: p.network.String(), Size: p.config.Size, Images: map[string]string{}}
		for i := range p.config.Nodes {
			s.Nodes = append(s.Nodes, i+1)
		}
	case err != nil:
		return fmt.Errorf("read the cluster's state: %w", err)
	case s.Network != p.network.String():
		return fault.WithHint(fault.Usage("the cluster was made with the network %s, berth.yaml says %s", s.Network, p.network),
			"a cluster keeps its network: set local.network back, or remove the cluster first with berth down --purge")
	}

	// The image builder comes first: images are built beside the compiling of
	// Kubernetes, which takes longest.
	if err := p.prepare(ctx, r); err != nil {
		return err
	}
	var binary string
	own := ownBuilds(root, p.release)
	making, makingCtx := errgroup.WithContext(ctx)
	making.Go(func() error {
		program, err := compile.Kubernetes(root)
		if err != nil {
			return err
		}
		binary = p.layout.cached("kube", program.Sources, "berth-kube")
		return program.Obtain(makingCtx, p.release, binary, r)
	})
	making.Go(func() error {
		return p.images.use(makingCtx, own, r, func() error { // started once for all
			for _, b := range own {
				if err := p.images.build(makingCtx, b, r); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err := making.Wait(); err != nil {
		return err
	}
	s.Kubernetes = binary
	if err := p.saveState(s); err != nil {
		return err
	}

	var client *kubernetes.Clientset
	plane := controlPlane{p.layout, p.network, binary}
	var authority *authority
	if err := progress.Run(r, "Start the control plane", func(step progress.Step) error {
		if authority, err = plane.configure(); err != nil {
			return err
		}
		if err := prepareMachine(thisHost, p.layout); err != nil {
			return err
		}
		if err := p.network.up(ctx, s.Nodes); err != nil {
			return err
		}
		if client, err = p.startControlPlane(ctx, plane, step); err != nil {
			return err
		}
		if err := grant(ctx, client); err != nil {
			return err
		}
		return p.serveMetrics(ctx, plane, client)
	}); err != nil {
		return err
	}
	if err := p.fillRegistry(ctx, &s, own, r); err != nil {
		return err
	}
	if err := p.supervise(plane, s, authority); err != nil {
		return err
	}
	if err := p.joinNodes(ctx, client, s, r); err != nil {
		return err
	}
	if err := progress.Run(r, "Open the bucket", func(progress.Step) error { return p.makeBucket(ctx) }); err != nil {
		return err
	}
	if err := thisSystemd.enable(ctx, p.layout); err != nil {
		// Everything serves all the same.
		r.Note(fmt.Sprintf("after a reboot the cluster stays down until berth up: %v", err))
	}
	return nil
}

// fillRegistry brings the images there that the cluster itself runs: a node
// starts no pod without the one that holds a pod's namespaces.
func (p *Provider) fillRegistry(ctx context.Context, s *state, own []provider.Build, r progress.Reporter) error {
	if err := p.awaitRegistry(ctx); err != nil {
		return err
	}
	if err := p.holdImages(ctx); err != nil {
		return err
	}
	if exists(p.layout.archives()) {
		if err := progress.Run(r, "Move image archives into the registry", func(step progress.Step) error {
			return p.registry().importArchives(ctx, step)
		}); err != nil {
			return err
		}
	}
	err := p.images.use(ctx, own, r, func() error {
		for _, b := range own {
			byDigest, err := p.images.push(ctx, b, r)
			if err != nil {
				return err
			}
			s.Images[b.Name] = byDigest
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.saveState(*s)
}
