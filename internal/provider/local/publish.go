package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/local/supervisor"
)

// Publish implements provider.Provider. It may run beside Init: whichever
// comes last takes the image to the nodes.
func (p *Provider) Publish(ctx context.Context, b provider.Build, r progress.Reporter) (string, error) {
	reference, err := p.build(ctx, b, r)
	if err != nil {
		return "", err
	}
	s, err := p.loadState()
	if errors.Is(err, fs.ErrNotExist) {
		return reference, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the cluster's state: %w", err)
	}
	err = progress.Run(r, "Hand image "+b.Name+" to the nodes", func(step progress.Step) error {
		for _, number := range s.Nodes {
			n := p.node(number)
			if !supervisor.Running(p.layout.supervisor(), n.containerdPart()) {
				continue // it imports all archives when it comes up
			}
			// Two at once would each remove what the other has just brought.
			if err := p.images.alone(ctx, func() error { return p.images.importInto(ctx, n, step) }); err != nil {
				return err
			}
		}
		return nil
	})
	return reference, err
}

// build builds an image once the tools for it are there.
func (p *Provider) build(ctx context.Context, b provider.Build, r progress.Reporter) (string, error) {
	if err := p.prepare(ctx, r); err != nil {
		return "", err
	}
	return p.images.build(ctx, b, r)
}

// prepare brings Debian's packages and the base image here, once a run.
func (p *Provider) prepare(ctx context.Context, r progress.Reporter) error {
	p.prepared.Lock()
	defer p.prepared.Unlock()
	if p.prepared.done {
		return nil
	}
	// Other commands may be at their first build, too.
	return p.images.alone(ctx, func() error { return p.prepareAlone(ctx, r) })
}

func (p *Provider) prepareAlone(ctx context.Context, r progress.Reporter) error {
	if missing := missingPackages(); len(missing) > 0 {
		if err := progress.Run(r, "Install Debian packages", func(step progress.Step) error {
			return installPackages(ctx, missing, step)
		}); err != nil {
			return err
		}
	}
	if err := progress.Run(r, "Fetch etcd, containerd, runc and CNI plugins", func(step progress.Step) error {
		return fetchPackages(ctx, p.layout, step)
	}); err != nil {
		return err
	}
	if err := progress.Run(r, "Make the base image", func(step progress.Step) error {
		return p.images.prepare(ctx, step)
	}); err != nil {
		return err
	}
	p.prepared.done = true
	return nil
}
