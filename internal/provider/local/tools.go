package local

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"berth/internal/progress"
	"berth/internal/source"
)

// prepare brings Debian's packages and the image builder here, once a run. Of
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
			return installPackages(ctx, p.layout, missing, step)
		}); err != nil {
			return err
		}
	}
	if err := progress.Run(r, "Fetch etcd, containerd, runc and CNI plugins", func(step progress.Step) error {
		return fetchPackages(ctx, p.layout, step)
	}); err != nil {
		return err
	}
	root, err := source.Root()
	if err != nil {
		return err
	}
	if err := p.images.prepare(ctx, root, p.release, r); err != nil {
		return err
	}
	p.prepared.done = true
	return nil
}
