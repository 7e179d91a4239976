package digitalocean

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/digitalocean/godo"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Only a cluster that is ready has credentials. Terraform's plugin reads them
// with everything else, so it can neither import nor refresh one that is still
// being made, is broken or is on its way out: berth waits for the first and
// removes the others through the API.

// deleting is a state of the API's that godo does not know.
const deleting = godo.KubernetesClusterStatusState("deleting")

// described is a cluster as the API describes it. Godo's own type refuses the
// answer for a state that it does not know, and with it every other cluster.
type described struct {
	godo.KubernetesCluster
	Status *struct {
		State   string `json:"state"`
		Message string `json:"message"`
	} `json:"status"`
}

func (d *described) cluster() *godo.KubernetesCluster {
	if d.Status != nil {
		d.KubernetesCluster.Status = &godo.KubernetesClusterStatus{
			State: godo.KubernetesClusterStatusState(d.Status.State), Message: d.Status.Message,
		}
	}
	return &d.KubernetesCluster
}

const clustersPath = "v2/kubernetes/clusters"

// listClusters reads one page of the account's clusters.
func (p *Provider) listClusters(ctx context.Context, o *godo.ListOptions) ([]*godo.KubernetesCluster, *godo.Response, error) {
	request, err := p.api.NewRequest(ctx, http.MethodGet, fmt.Sprintf("%s?page=%d&per_page=%d", clustersPath, o.Page, o.PerPage), nil)
	if err != nil {
		return nil, nil, err
	}
	var answer struct {
		Clusters []*described `json:"kubernetes_clusters"`
		Links    *godo.Links  `json:"links"`
	}
	response, err := p.api.Do(ctx, request, &answer)
	if err != nil {
		return nil, response, err
	}
	response.Links = answer.Links
	var clusters []*godo.KubernetesCluster
	for _, one := range answer.Clusters {
		clusters = append(clusters, one.cluster())
	}
	return clusters, response, nil
}

// getCluster reads one cluster.
func (p *Provider) getCluster(ctx context.Context, id string) (*godo.KubernetesCluster, error) {
	request, err := p.api.NewRequest(ctx, http.MethodGet, clustersPath+"/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Cluster described `json:"kubernetes_cluster"`
	}
	if _, err := p.api.Do(ctx, request, &answer); err != nil {
		return nil, err
	}
	return answer.Cluster.cluster(), nil
}

// status is a cluster's state, which young ones do not have yet.
func status(cluster *godo.KubernetesCluster) godo.KubernetesClusterStatusState {
	if cluster.Status == nil || cluster.Status.State == "" {
		return godo.KubernetesClusterStatusProvisioning
	}
	return cluster.Status.State
}

// isGoing reports whether a cluster is being removed. It keeps its name until it
// is gone.
func isGoing(cluster *godo.KubernetesCluster) bool {
	return status(cluster) == deleting || status(cluster) == godo.KubernetesClusterStatusDeleted
}

// isBroken reports whether a cluster will never be ready.
func isBroken(cluster *godo.KubernetesCluster) bool {
	return status(cluster) == godo.KubernetesClusterStatusError
}

// isUsable reports whether a cluster has credentials.
func isUsable(cluster *godo.KubernetesCluster) bool {
	return status(cluster) != godo.KubernetesClusterStatusProvisioning && !isGoing(cluster) && !isBroken(cluster)
}

// notUsable says why a cluster cannot be used, and what to do; nil when it can.
func notUsable(cluster *godo.KubernetesCluster) error {
	switch {
	case isUsable(cluster):
		return nil
	case isGoing(cluster):
		return fault.WithHint(fmt.Errorf("cluster %s is being removed: %w", cluster.Name, provider.ErrNotUp),
			"berth destroy removes what it leaves; berth init makes a new one once it is gone")
	case isBroken(cluster):
		why := ""
		if cluster.Status.Message != "" {
			why = " (" + cluster.Status.Message + ")"
		}
		return fault.WithHint(fmt.Errorf("DigitalOcean could not make cluster %s, which is in state %q%s: %w", cluster.Name, status(cluster), why, provider.ErrNotUp),
			"berth destroy removes it, and berth init makes a new one then")
	}
	return fault.WithHint(fmt.Errorf("cluster %s is still being made: %w", cluster.Name, provider.ErrNotUp), "berth init waits for it and continues")
}

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
