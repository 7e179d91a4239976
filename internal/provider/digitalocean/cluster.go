package digitalocean

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/digitalocean/godo"

	"berth/internal/fault"
	"berth/internal/provider"
)

// findCluster returns the cluster by its name, or nil. It refuses one that
// berth did not make.
func (p *Provider) findCluster(ctx context.Context) (*godo.KubernetesCluster, error) {
	name := p.config.DigitalOcean.Cluster
	clusters, err := all(func(o *godo.ListOptions) ([]*godo.KubernetesCluster, *godo.Response, error) {
		return p.listClusters(ctx, o)
	})
	if err != nil {
		return nil, wrap("look for the Kubernetes cluster", err)
	}
	var cluster *godo.KubernetesCluster
	for _, one := range clusters {
		switch {
		case one.Name != name:
		case isGoing(one) && !slices.Contains(one.Tags, mark): // somebody else's, and soon nobody's
		case cluster == nil || isGoing(cluster):
			cluster = one
		}
	}
	switch {
	case cluster == nil || slices.Contains(cluster.Tags, mark):
		return cluster, nil
	case len(cluster.Tags) == 0: // every cluster has tags of DigitalOcean's own
		return nil, scopesMissing("tag:read", fmt.Errorf("the tags of the Kubernetes cluster %s cannot be seen, so berth cannot tell whether it made it", name))
	default:
		return nil, fault.WithHint(fmt.Errorf("berth did not make the Kubernetes cluster %s (%s): it has no tag %q", name, cluster.ID, mark),
			"set another name under digitalocean.cluster in berth.yaml; or give the cluster the tag %s, which makes it berth's, to be destroyed too", mark)
	}
}

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
