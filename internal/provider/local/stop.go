package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider/local/supervisor"
)

// Stop implements provider.Stopper: it ends pods as gently as Kubernetes would,
// then every process, and puts this machine's settings back. All data stays.
func (p *Provider) Stop(ctx context.Context, r progress.Reporter) error {
	if !exists(p.layout.in()) {
		return nil
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.stop(ctx, r); err != nil {
		return err
	}
	return thisSystemd.disable(ctx)
}

// Destroy implements provider.Provider. On this machine it is the same as Purge.
func (p *Provider) Destroy(ctx context.Context, r progress.Reporter) (kept []string, err error) {
	return p.Purge(ctx, r)
}

// Purge stops the cluster and removes every trace of it, its data and what was
// compiled and downloaded for it. It returns what it keeps.
func (p *Provider) Purge(ctx context.Context, r progress.Reporter) (kept []string, err error) {
	if exists(p.layout.in()) {
		unlock, err := p.lock()
		if err != nil {
			return nil, err
		}
		defer unlock()
		if err := p.stop(ctx, r); err != nil {
			return nil, err
		}
	}
	if err := thisSystemd.remove(ctx); err != nil {
		return nil, err
	}
	if packages := broughtPackages(p.layout); len(packages) > 0 {
		kept = []string{fmt.Sprintf("Debian packages that were installed: %s (apt-get remove them if nothing else needs them)", strings.Join(packages, ", "))}
	}
	err = progress.Run(r, "Remove all files", func(progress.Step) error {
		if err := errors.Join(unmountBelow(p.layout.cache), unmountBelow(p.layout.state)); err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(p.layout.trust()), os.RemoveAll(p.layout.state), os.RemoveAll(p.layout.cache)); err != nil {
			return fault.WithHint(fmt.Errorf("remove files: %w", err), "run the same command again")
		}
		removeEmptyFolders(filepath.Dir(p.layout.state)) // another provider's state may be beside
		return nil
	})
	return kept, err
}

func (p *Provider) stop(ctx context.Context, r progress.Reporter) error {
	if err := progress.Run(r, "Stop the pods", func(step progress.Step) error { return p.stopPods(ctx, step) }); err != nil {
		// What did not end by itself is ended below.
		r.Note(fmt.Sprintf("pods did not stop in order: %v", err))
	}
	return progress.Run(r, "Stop the cluster", func(step progress.Step) error {
		if err := supervisor.Stop(ctx, p.layout.supervisor()); err != nil {
			return err
		}
		step.Detail("clearing mounts, addresses and tables")
		return errors.Join(
			p.images.builder().end(),
			sweep(p.layout.in("nodes")),
			unmountBelow(p.layout.state),
			unmountBelow(p.layout.cache), // what a killed build left
			removeCgroups("berth"),
			p.network.down(ctx),
			restoreMachine(thisHost, p.layout),
		)
	})
}

// stopPods empties every node: nothing must start pods meanwhile, so all but
// the nodes' containerds ends first.
func (p *Provider) stopPods(ctx context.Context, step progress.Step) error {
	parts, err := supervisor.Parts(p.layout.supervisor())
	if err != nil {
		return fmt.Errorf("read supervisor spec: %w", err)
	}
	var keep []supervisor.Part
	var end []string
	for _, part := range parts {
		if strings.HasPrefix(part.Name, containerdPrefix) {
			keep = append(keep, part)
		} else {
			end = append(end, part.Name)
		}
	}
	if len(keep) == 0 {
		return nil
	}
	step.Detail("stopping the control plane")
	if err := p.applyParts(keep); err != nil {
		return err
	}
	if err := p.awaitEnd(ctx, end...); err != nil {
		return err
	}
	step.Detail("waiting for containers to end")
	s, err := p.loadState()
	if err != nil {
		return fmt.Errorf("read the cluster's state: %w", err)
	}
	var emptying errgroup.Group
	for _, number := range s.Nodes {
		emptying.Go(func() error {
			ctx, cancel := patienceFor(p.node(number).processes, containerGrace+30*time.Second).during(ctx)
			defer cancel()
			runtime, err := p.node(number).containers(ctx)
			if err != nil {
				return err
			}
			return runtime.removeAll(ctx)
		})
	}
	return emptying.Wait()
}
