package fake

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

// Cluster is a cluster with what the API does not tell of it.
type Cluster struct {
	godo.KubernetesCluster
	// Changed is when its making or upgrading began.
	Changed time.Time `json:"fake_changed"`
	// Deleted is when it was deleted. For a while the API still knows it as one
	// that is being deleted, and its nodes occupy the network.
	Deleted *time.Time `json:"fake_deleted,omitempty"`
}

// advance brings a cluster and its nodes to the present.
func (c *Cluster) advance(now time.Time, delay time.Duration) {
	switch c.Status.State {
	case godo.KubernetesClusterStatusProvisioning, godo.KubernetesClusterStatusUpgrading:
		if !now.Before(c.Changed.Add(delay)) {
			c.Status.State = godo.KubernetesClusterStatusRunning
		}
	}
	for _, pool := range c.NodePools {
		pool.Nodes = slices.DeleteFunc(pool.Nodes, func(n *godo.KubernetesNode) bool {
			return n.Status.State == "deleting" && !now.Before(n.UpdatedAt.Add(delay))
		})
		for _, node := range pool.Nodes {
			if node.Status.State == "provisioning" && !now.Before(node.CreatedAt.Add(delay)) {
				node.Status.State = "running"
				node.UpdatedAt = now.UTC()
			}
		}
	}
}

// withCluster makes an endpoint out of one that works on a cluster.
func (f *Fake) withCluster(work func(*http.Request, *Cluster) (int, any, error)) endpoint {
	return with(f.cluster, work)
}

// cluster finds the cluster of the request's path.
func (f *Fake) cluster(r *http.Request) (*Cluster, error) {
	c, err := find(f.account.Clusters, func(c *Cluster) bool { return c.ID == r.PathValue("cluster") })
	if err == nil && c.Deleted != nil && r.Method != http.MethodGet && r.Method != http.MethodDelete {
		return nil, unprocessable("the cluster is being deleted")
	}
	return c, err
}

// nameless is a pool as it is answered to who has just made it: its nodes have
// neither names nor Droplets yet.
func nameless(pool *godo.KubernetesNodePool) *godo.KubernetesNodePool {
	young := *pool
	young.Nodes = nil
	for _, node := range pool.Nodes {
		shown := *node
		if shown.Status.State == "provisioning" {
			shown.Name, shown.DropletID = "", ""
		}
		young.Nodes = append(young.Nodes, &shown)
	}
	return &young
}

func isOwnTag(tag string) bool { return tag == "k8s" || strings.HasPrefix(tag, "k8s:") }
