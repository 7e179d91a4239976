package fake

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/digitalocean/godo"
)

func (f *Fake) routeNodePools() {
	const pools = "/v2/kubernetes/clusters/{cluster}/node_pools"
	const single = pools + "/{pool}"

	f.handle("GET "+pools, f.withCluster(func(r *http.Request, c *Cluster) (int, any, error) {
		body, err := page(r, "node_pools", c.NodePools)
		return http.StatusOK, body, err
	}))
	f.handle("POST "+pools, f.withCluster(func(r *http.Request, c *Cluster) (int, any, error) {
		var request godo.KubernetesNodePoolCreateRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		pool, err := f.addPool(r.Context(), c, &request)
		if err != nil {
			return 0, nil, err
		}
		c.advance(f.options.Now(), f.options.Delay)
		return http.StatusCreated, map[string]any{"node_pool": nameless(pool)}, nil
	}))
	f.handle("GET "+single, f.withPool(func(_ *http.Request, _ *Cluster, pool *godo.KubernetesNodePool) (int, any, error) {
		return http.StatusOK, map[string]any{"node_pool": pool}, nil
	}))
	f.handle("PUT "+single, f.withPool(f.updatePool))
	f.handle("DELETE "+single, f.withPool(func(_ *http.Request, c *Cluster, pool *godo.KubernetesNodePool) (int, any, error) {
		if len(c.NodePools) == 1 {
			return 0, nil, &apiError{http.StatusUnprocessableEntity, "unprocessable_entity", "cannot delete the last node pool of a cluster"}
		}
		c.NodePools = slices.DeleteFunc(c.NodePools, func(p *godo.KubernetesNodePool) bool { return p.ID == pool.ID })
		return http.StatusNoContent, nil, nil
	}))
	f.handle("POST "+single+"/recycle", f.withPool(func(r *http.Request, c *Cluster, pool *godo.KubernetesNodePool) (int, any, error) {
		var request godo.KubernetesNodePoolRecycleNodesRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		for _, id := range request.Nodes {
			if err := f.deleteNode(r.Context(), c, pool, id, true); err != nil {
				return 0, nil, err
			}
		}
		return http.StatusAccepted, nil, nil
	}))
	f.handle("DELETE "+single+"/nodes/{node}", f.withPool(func(r *http.Request, c *Cluster, pool *godo.KubernetesNodePool) (int, any, error) {
		return http.StatusAccepted, nil, f.deleteNode(r.Context(), c, pool, r.PathValue("node"), r.URL.Query().Get("replace") == "1")
	}))
}

func (f *Fake) withPool(work func(*http.Request, *Cluster, *godo.KubernetesNodePool) (int, any, error)) endpoint {
	return f.withCluster(func(r *http.Request, c *Cluster) (int, any, error) {
		pool, err := find(c.NodePools, func(p *godo.KubernetesNodePool) bool { return p.ID == r.PathValue("pool") })
		if err != nil {
			return 0, nil, err
		}
		return work(r, c, pool)
	})
}

// addPool adds a node pool and its nodes to a cluster.
func (f *Fake) addPool(ctx context.Context, c *Cluster, request *godo.KubernetesNodePoolCreateRequest) (*godo.KubernetesNodePool, error) {
	count := request.Count
	if request.AutoScale {
		count = max(count, request.MinNodes)
	}
	switch {
	case !clusterName.MatchString(request.Name):
		return nil, unprocessable("validation error: node pool name is invalid")
	case slices.ContainsFunc(c.NodePools, func(p *godo.KubernetesNodePool) bool { return p.Name == request.Name }):
		return nil, unprocessable("a node pool with this name already exists")
	case !knownSize(request.Size):
		return nil, unprocessable("validation error: invalid node size %q", request.Size)
	case count < 1:
		return nil, unprocessable("validation error: a node pool needs at least one node")
	case request.AutoScale && request.MaxNodes < request.MinNodes:
		return nil, unprocessable("validation error: max_nodes is less than min_nodes")
	}
	pool := &godo.KubernetesNodePool{
		ID: newID(), Name: request.Name, Size: request.Size, Labels: request.Labels, Taints: request.Taints,
		AutoScale: request.AutoScale, MinNodes: request.MinNodes, MaxNodes: request.MaxNodes,
		Tags: append([]string{"k8s", "k8s:" + c.ID, "k8s:worker"}, slices.DeleteFunc(request.Tags, isOwnTag)...),
	}
	f.account.tagged(pool.Tags)
	c.NodePools = append(c.NodePools, pool)
	return pool, f.resize(ctx, pool, count)
}

func (f *Fake) updatePool(r *http.Request, c *Cluster, pool *godo.KubernetesNodePool) (int, any, error) {
	var request godo.KubernetesNodePoolUpdateRequest
	if err := decode(r, &request); err != nil {
		return 0, nil, err
	}
	if request.Name != "" && slices.ContainsFunc(c.NodePools, func(p *godo.KubernetesNodePool) bool { return p.Name == request.Name && p.ID != pool.ID }) {
		return 0, nil, unprocessable("a node pool with this name already exists")
	}
	pool.Name = orElse(request.Name, pool.Name)
	if request.Tags != nil {
		pool.Tags = append([]string{"k8s", "k8s:" + c.ID, "k8s:worker"}, slices.DeleteFunc(request.Tags, isOwnTag)...)
		f.account.tagged(pool.Tags)
	}
	if request.Labels != nil {
		pool.Labels = request.Labels
	}
	if request.Taints != nil {
		pool.Taints = *request.Taints
	}
	if request.AutoScale != nil {
		pool.AutoScale = *request.AutoScale
	}
	if request.MinNodes != nil {
		pool.MinNodes = *request.MinNodes
	}
	if request.MaxNodes != nil {
		pool.MaxNodes = *request.MaxNodes
	}
	count := pool.Count
	if request.Count != nil && *request.Count > 0 {
		count = *request.Count
	}
	if pool.AutoScale {
		count = min(max(count, pool.MinNodes), max(pool.MaxNodes, 1))
	}
	if err := f.resize(r.Context(), pool, count); err != nil {
		return 0, nil, err
	}
	c.advance(f.options.Now(), f.options.Delay)
	return http.StatusAccepted, map[string]any{"node_pool": pool}, nil
}

// resize adds nodes to a pool, or takes the newest ones away.
func (f *Fake) resize(ctx context.Context, pool *godo.KubernetesNodePool, count int) error {
	pool.Count = count
	alive := 0
	for _, node := range pool.Nodes {
		if node.Status.State != "deleting" {
			alive++
		}
	}
	now := f.options.Now().UTC()
	for i := len(pool.Nodes) - 1; i >= 0 && alive > count; i-- {
		if node := pool.Nodes[i]; node.Status.State != "deleting" {
			node.Status.State, node.UpdatedAt = "deleting", now
			alive--
		}
	}
	for ; alive < count; alive++ {
		name, err := f.nodeName(ctx, pool)
		if err != nil {
			return err
		}
		pool.Nodes = append(pool.Nodes, &godo.KubernetesNode{
			ID: newID(), Name: name, DropletID: itoa(f.account.number()),
			Status: &godo.KubernetesNodeStatus{State: "provisioning"}, CreatedAt: now, UpdatedAt: now,
		})
	}
	return nil
}

// deleteNode takes one node out of a pool; with replace, another one comes.
func (f *Fake) deleteNode(ctx context.Context, c *Cluster, pool *godo.KubernetesNodePool, id string, replace bool) error {
	node, err := find(pool.Nodes, func(n *godo.KubernetesNode) bool { return n.ID == id })
	if err != nil {
		return err
	}
	count := pool.Count
	if !replace {
		if count == 1 {
			return unprocessable("cannot delete the last node of a node pool")
		}
		count--
	}
	node.Status.State, node.UpdatedAt = "deleting", f.options.Now().UTC()
	if err := f.resize(ctx, pool, count); err != nil {
		return err
	}
	c.advance(f.options.Now(), f.options.Delay)
	return nil
}

// nodeName names a node after one of the real cluster that has no namesake yet,
// or makes up a name as DigitalOcean does: the pool's and a suffix.
func (f *Fake) nodeName(ctx context.Context, pool *godo.KubernetesNodePool) (string, error) {
	taken := map[string]bool{}
	for _, c := range f.account.Clusters {
		if c.Deleted != nil {
			continue
		}
		for _, p := range c.NodePools {
			for _, node := range p.Nodes {
				taken[node.Name] = true
			}
		}
	}
	for _, node := range pool.Nodes {
		taken[node.Name] = true
	}
	if f.options.NodeNames != nil {
		names, err := f.options.NodeNames(ctx)
		if err != nil {
			return "", fmt.Errorf("list the real cluster's nodes: %w", err)
		}
		for _, name := range names {
			if !taken[name] {
				return name, nil
			}
		}
	}
	for {
		if name := pool.Name + "-" + newSecret(3)[:5]; !taken[name] {
			return name, nil
		}
	}
}
