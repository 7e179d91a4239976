package local

import (
	"context"
	"errors"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider/local/supervisor"
)

// Boot starts the cluster again after the machine has booted: its settings, its
// network and its processes. It builds nothing, and waits for the API server only.
// If the cluster runs, or there is none, it does nothing.
func Boot(ctx context.Context, r progress.Reporter) error {
	p, s, err := reopen()
	if p == nil || err != nil {
		return err
	}
	if p.supervised() {
		return nil // berth up is at work, or was
	}
	if !exists(s.Kubernetes) {
		return fault.WithHint(errors.New("the compiled Kubernetes is gone"), "bring the cluster up once: berth up")
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	plane := controlPlane{p.layout, p.network, s.Kubernetes}
	authority, err := plane.configure()
	if err != nil {
		return err
	}
	if err := prepareMachine(thisHost, p.layout); err != nil {
		return err
	}
	if err := p.network.up(ctx, s.Nodes); err != nil {
		return err
	}
	err = progress.Run(r, "Start the control plane", func(step progress.Step) error {
		_, err := p.startControlPlane(ctx, plane, step)
		return err
	})
	if ctx.Err() != nil {
		return err
	}
	// Nodes wait for an API server that is late, however long it takes.
	return errors.Join(err, p.supervise(plane, s, authority))
}

// Halt stops the cluster as the machine stops: as [Provider.Stop] does, but the
// cluster comes back with the machine.
func Halt(ctx context.Context, r progress.Reporter) error {
	p, _, err := reopen()
	if p == nil || err != nil {
		return err
	}
	if !p.supervised() {
		return nil // berth down is at work, or was
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return p.stop(ctx, r)
}

// supervised reports whether a supervisor runs.
func (p *Provider) supervised() bool {
	dir := p.layout.supervisor()
	return supervisor.Running(dir, "supervisor") || supervisor.Running(dir, "supervisor-standby")
}
