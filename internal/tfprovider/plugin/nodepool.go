package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

func nodePoolResource() *resource {
	return &resource{
		forceNew: []string{"cluster_id", "size", "gpu_partition_mode"},
		suppress: suppressPool,
		defaults: map[string]any{"auto_scale": false},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			cluster := planned.text("cluster_id")
			pool, _, err := c.api.Kubernetes.CreateNodePool(ctx, cluster, poolRequest(planned))
			if err != nil {
				return nil, fmt.Errorf("error creating Kubernetes node pool: %w", err)
			}
			if err := waitForPool(ctx, c, planned, cluster, pool.ID); err != nil {
				return nil, fmt.Errorf("error creating Kubernetes node pool: %w", err)
			}
			planned["id"] = pool.ID
			return readNodePool(ctx, c, settle(planned))
		},
		read: readNodePool,
		update: func(ctx context.Context, c *clients, prior, planned object) (object, error) {
			if err := updatePool(ctx, c, planned, prior.text("cluster_id"), prior.text("id"), planned); err != nil {
				return nil, err
			}
			return readNodePool(ctx, c, settle(planned))
		},
		remove: func(ctx context.Context, c *clients, state object) error {
			cluster, id := state.text("cluster_id"), state.text("id")
			if _, err := c.api.Kubernetes.DeleteNodePool(ctx, cluster, id); err != nil {
				return fmt.Errorf("unable to delete node pool %w", err)
			}
			return wait(ctx, state, "delete", 30*time.Minute, func() (bool, error) {
				_, _, err := c.api.Kubernetes.GetNodePool(ctx, cluster, id)
				if gone(err) {
					return true, nil
				}
				return false, err
			})
		},
		imported: importNodePool,
	}
}

// suppressPool sees no difference where the pool has as many nodes as it should.
func suppressPool(prior, planned object) {
	if prior == nil || planned == nil {
		return
	}
	if count := planned["node_count"]; count != nil && reflect.DeepEqual(count, prior["actual_node_count"]) {
		planned["node_count"] = prior["node_count"]
	}
}

func poolRequest(pool object, tags ...string) *godo.KubernetesNodePoolCreateRequest {
	return &godo.KubernetesNodePoolCreateRequest{
		Name: pool.text("name"), Size: pool.text("size"), Count: pool.number("node_count"), Tags: append(pool.texts("tags"), tags...),
		Labels: labels(pool), Taints: taints(pool), AutoScale: pool.flag("auto_scale"), MinNodes: pool.number("min_nodes"), MaxNodes: pool.number("max_nodes"),
		GPUPartitionMode: pool.text("gpu_partition_mode"),
	}
}

func updatePool(ctx context.Context, c *clients, timeouts object, cluster, id string, pool object, tags ...string) error {
	request := &godo.KubernetesNodePoolUpdateRequest{
		Name: pool.text("name"), Tags: append(pool.texts("tags"), tags...), AutoScale: godo.PtrTo(pool.flag("auto_scale")),
		MinNodes: godo.PtrTo(pool.number("min_nodes")), MaxNodes: godo.PtrTo(pool.number("max_nodes")),
		Labels: labels(pool), Taints: godo.PtrTo(taints(pool)),
	}
	if count := pool.number("node_count"); count != 0 {
		request.Count = &count
	}
	if _, _, err := c.api.Kubernetes.UpdateNodePool(ctx, cluster, id, request); err != nil {
		return fmt.Errorf("unable to update nodepool: %w", err)
	}
	return waitForPool(ctx, c, timeouts, cluster, id)
}

func waitForPool(ctx context.Context, c *clients, timeouts object, cluster, id string) error {
	err := wait(ctx, timeouts, "create", 30*time.Minute, func() (bool, error) {
		pool, _, err := c.api.Kubernetes.GetNodePool(ctx, cluster, id)
		if err != nil {
			return false, fmt.Errorf("error trying to read nodepool state: %w", err)
		}
		running := !slices.ContainsFunc(pool.Nodes, func(n *godo.KubernetesNode) bool { return n.Status.State != "running" })
		return running && len(pool.Nodes) == pool.Count, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("timeout waiting to create nodepool")
	}
	return err
}

func readNodePool(ctx context.Context, c *clients, state object) (object, error) {
	pool, _, err := c.api.Kubernetes.GetNodePool(ctx, state.text("cluster_id"), state.text("id"))
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("error retrieving Kubernetes node pool: %w", err)
	}
	for name, value := range poolState(pool) {
		state[name] = value
	}
	state["node_count"] = float64(pool.Count)
	return state, nil
}

// poolState is a pool as both kinds of resources have it, but for the count that
// was asked for.
func poolState(pool *godo.KubernetesNodePool) object {
	nodes := make([]any, len(pool.Nodes))
	for i, node := range pool.Nodes {
		nodes[i] = object{
			"id": node.ID, "name": node.Name, "status": node.Status.State, "droplet_id": node.DropletID,
			"created_at": stamp(node.CreatedAt), "updated_at": stamp(node.UpdatedAt),
		}
	}
	labels := object{}
	for name, value := range pool.Labels {
		labels[name] = value
	}
	taints := make([]any, len(pool.Taints))
	for i, taint := range pool.Taints {
		taints[i] = object{"key": taint.Key, "value": taint.Value, "effect": taint.Effect}
	}
	return object{
		"id": pool.ID, "name": pool.Name, "size": pool.Size, "actual_node_count": float64(pool.Count), "auto_scale": pool.AutoScale,
		"min_nodes": float64(pool.MinNodes), "max_nodes": float64(pool.MaxNodes), "tags": list(ownTags(pool.Tags)),
		"labels": labels, "nodes": nodes, "taint": taints, "gpu_partition_mode": pool.GPUPartitionMode,
	}
}

// importNodePool finds the cluster that a pool belongs to.
func importNodePool(ctx context.Context, c *clients, id string) (object, error) {
	options := &godo.ListOptions{}
	for {
		clusters, response, err := c.api.Kubernetes.List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("unable to list Kubernetes clusters: %w", err)
		}
		for _, cluster := range clusters {
			for _, pool := range cluster.NodePools {
				if pool.ID != id {
					continue
				}
				if slices.Contains(pool.Tags, defaultPoolTag) {
					return nil, fmt.Errorf("node pool %s has the default node pool tag set; import the owning digitalocean_kubernetes_cluster resource instead (cluster ID=%s)", id, cluster.ID)
				}
				return object{"id": id, "cluster_id": cluster.ID}, nil
			}
		}
		if response.Links == nil || response.Links.IsLastPage() {
			return nil, fmt.Errorf("did not find the cluster owning the node pool %s", id)
		}
		page, err := response.Links.CurrentPage()
		if err != nil {
			return nil, err
		}
		options.Page = page + 1
	}
}

func labels(pool object) map[string]string {
	all := map[string]string{}
	given, _ := pool["labels"].(object)
	for name := range given {
		all[name] = given.text(name)
	}
	return all
}

func taints(pool object) []godo.Taint {
	all := []godo.Taint{}
	for _, taint := range pool.blocks("taint") {
		all = append(all, godo.Taint{Key: taint.text("key"), Value: taint.text("value"), Effect: taint.text("effect")})
	}
	return all
}

// changed reports whether one of these attributes or blocks did.
func changed(prior, planned object, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return !reflect.DeepEqual(prior[name], planned[name]) })
}

// ownTags leaves out what others add.
func ownTags(tags []string) []string {
	var own []string
	for _, tag := range tags {
		if tag != "k8s" && !strings.HasPrefix(tag, "k8s:") && !strings.HasPrefix(tag, "terraform:") {
			own = append(own, tag)
		}
	}
	return own
}
