package digitalocean

import (
	"context"
	"net/http"
	"time"

	"github.com/digitalocean/godo"

	"berth/internal/progress"
)

// Only a cluster that is ready has credentials. Terraform's plugin reads them
// with everything else, so it can neither import nor refresh one that is still
// being made, is broken or is on its way out: berth waits for the first and
// removes the others through the API.

const (
	// createTime bounds how long a cluster may take to come up.
	createTime = 60 * time.Minute
	// removeTime bounds how long DigitalOcean may take to remove something.
	removeTime = 20 * time.Minute
)

// awaitSettled waits until the cluster has been made, or is gone. It fails for one
// that is broken.
func (p *Provider) awaitSettled(ctx context.Context, r progress.Reporter) error {
	cluster, err := p.findCluster(ctx)
	switch {
	case err != nil || cluster == nil || isUsable(cluster):
		return err
	case isGoing(cluster):
		return p.awaitGone(ctx, cluster.ID, r)
	case isBroken(cluster):
		return notUsable(cluster)
	}
	return progress.Run(r, "Wait for the Kubernetes cluster", func(step progress.Step) error {
		return p.awaitUsable(ctx, cluster.ID, step)
	})
}

// awaitUsable waits until a cluster that is being made is there.
func (p *Provider) awaitUsable(ctx context.Context, id string, step progress.Step) error {
	began := time.Now()
	return p.poll(ctx, createTime, func(ctx context.Context) (bool, error) {
		cluster, err := p.getCluster(ctx, id)
		if err != nil {
			return false, wrap("look at the Kubernetes cluster", explain(err))
		}
		if status(cluster) == godo.KubernetesClusterStatusProvisioning {
			step.Detail("DigitalOcean is making it, which takes 5 to 10 minutes; waiting for " + time.Since(began).Round(time.Second).String())
			return false, nil
		}
		return true, notUsable(cluster)
	})
}

// awaitGone waits until a cluster is gone.
func (p *Provider) awaitGone(ctx context.Context, id string, r progress.Reporter) error {
	return progress.Run(r, "Wait until the cluster is gone", func(step progress.Step) error {
		began := time.Now()
		return p.poll(ctx, removeTime, func(ctx context.Context) (bool, error) {
			_, err := p.getCluster(ctx, id)
			if isNotFound(err) {
				return true, nil
			}
			step.Detail("DigitalOcean is removing it; waiting for " + time.Since(began).Round(time.Second).String())
			return false, wrap("look at the cluster", explain(err))
		})
	})
}

// discard removes a cluster that is not ready, waits until it is gone, and has
// Terraform forget it and that it was in the project: neither could be read.
func (p *Provider) discard(ctx context.Context, w *workspace, in *intent, r progress.Reporter) error {
	cluster := in.found.cluster
	if !isGoing(cluster) {
		if err := progress.Run(r, "Remove the Kubernetes cluster, which is "+string(status(cluster)), func(step progress.Step) error {
			return p.removeCluster(ctx, cluster.ID, step)
		}); err != nil {
			return err
		}
	}
	if err := p.awaitGone(ctx, cluster.ID, r); err != nil {
		return err
	}
	for _, address := range []string{membersAddress, clusterAddress} {
		if !in.known.has(address) {
			continue
		}
		if err := w.forget(ctx, address); err != nil {
			return err
		}
		delete(in.known.resources, address)
	}
	in.found.cluster = nil
	return nil
}

// removeCluster asks for a cluster's removal until the API takes it on: one that
// is being made may have to be there first.
func (p *Provider) removeCluster(ctx context.Context, id string, step progress.Step) error {
	return p.poll(ctx, createTime, func(ctx context.Context) (bool, error) {
		_, err := p.api.Kubernetes.Delete(ctx, id)
		switch {
		case err == nil || isNotFound(err):
			return true, nil
		case hasStatus(err, http.StatusConflict), hasStatus(err, http.StatusPreconditionFailed), hasStatus(err, http.StatusUnprocessableEntity):
			step.Detail("DigitalOcean does not remove it yet: " + err.Error())
			return false, nil
		}
		return false, wrap("remove the Kubernetes cluster", explain(err))
	})
}
