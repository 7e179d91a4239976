package local

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"berth/internal/progress"
	"berth/internal/provider"
)

// Publish implements provider.Provider. It may run beside Init, which starts
// the registry that it waits for.
func (p *Provider) Publish(ctx context.Context, b provider.Build, r progress.Reporter) (string, error) {
	built, err := p.build(ctx, b, r)
	if err != nil {
		return "", err
	}
	if err := p.awaitRegistry(ctx); err != nil {
		return "", err
	}
	if err := p.holdImages(ctx); err != nil {
		return "", err
	}
	return p.images.push(ctx, built, p.registry(), r)
}

// build builds an image once the tools for it are there.
func (p *Provider) build(ctx context.Context, b provider.Build, r progress.Reporter) (string, error) {
	if err := p.prepare(ctx, r); err != nil {
		return "", err
	}
	return p.images.build(ctx, b, r)
}

// prepare brings Debian's packages and the base image here, once a run. Of
// several commands at once, one does it and the others wait.
func (p *Provider) prepare(ctx context.Context, r progress.Reporter) error {
	p.prepared.Lock()
	defer p.prepared.Unlock()
	if p.prepared.done {
		return nil
	}
	if err := os.MkdirAll(p.layout.cached(), 0o755); err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	tools, err := openLock(p.layout.toolsLock())
	if err != nil {
		return err
	}
	defer tools.Close()
	if err := flock(ctx, tools, unix.LOCK_EX); err != nil {
		return err
	}
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
