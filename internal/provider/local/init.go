package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"berth/internal/compile"
	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/source"
)

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
	s, err := p.plan()
	if err != nil {
		return err
	}
	// The image builder comes first: images are built beside the compiling of
	// Kubernetes, which takes longest.
	if err := p.prepare(ctx, r); err != nil {
		return err
	}
	own := ownBuilds(root, p.release)
	if s.Kubernetes, err = p.compileAndBuild(ctx, root, own, r); err != nil {
		return err
	}
	if err := p.saveState(s); err != nil {
		return err
	}

	var client *kubernetes.Clientset
	plane := controlPlane{p.layout, p.network, s.Kubernetes}
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

// plan returns the state that the cluster is to have: its own, or that of a new one.
func (p *Provider) plan() (state, error) {
	s, err := p.loadState()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = state{Network: p.network.String(), Size: p.config.Size, Images: map[string]string{}}
		for i := range p.config.Nodes {
			s.Nodes = append(s.Nodes, i+1)
		}
		return s, nil
	case err != nil:
		return s, fmt.Errorf("read the cluster's state: %w", err)
	case s.Network != p.network.String():
		return s, fault.WithHint(fault.Usage("the cluster was made with the network %s, berth.yaml says %s", s.Network, p.network),
			"a cluster keeps its network: set local.network back, or remove the cluster first with berth down --purge")
	}
	return s, nil
}

// compileAndBuild brings the binary of Kubernetes here and, beside that, builds
// images.
func (p *Provider) compileAndBuild(ctx context.Context, root string, own []provider.Build, r progress.Reporter) (kubernetes string, err error) {
	making, ctx := errgroup.WithContext(ctx)
	making.Go(func() error {
		program, err := compile.Kubernetes(root)
		if err != nil {
			return err
		}
		kubernetes = p.layout.cached("kube", program.Sources, "berth-kube")
		return program.Obtain(ctx, p.release, kubernetes, r)
	})
	making.Go(func() error {
		return p.images.use(ctx, own, r, func() error { // started once for all
			for _, b := range own {
				if err := p.images.build(ctx, b, r); err != nil {
					return err
				}
			}
			return nil
		})
	})
	err = making.Wait() // which sets kubernetes
	return kubernetes, err
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
