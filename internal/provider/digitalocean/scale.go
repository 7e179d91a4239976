package digitalocean

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digitalocean/godo"
	"k8s.io/client-go/kubernetes"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Scale implements provider.Provider. The number of nodes is Terraform's to
// change; their size is not, for it would replace the whole cluster. So a size
// is changed by a new node pool, which takes the old one's place under
// Terraform's tag. Each step finds what the ones before it have done.
func (p *Provider) Scale(ctx context.Context, wanted provider.Scale, r progress.Reporter) error {
	if limit := p.config.DigitalOcean.MaxNodes; limit > 0 && wanted.Nodes > limit {
		return fault.WithHint(fault.Usage("digitalocean.maxNodes is %d, less than %d", limit, wanted.Nodes), "raise it in berth.yaml first")
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	client, err := p.client(ctx)
	if err != nil {
		return err
	}
	w, err := p.open(ctx, r)
	if err != nil {
		return err
	}
	// A new pool would be made for nothing if the rest cannot be.
	in, err := p.look(ctx, w, func(*variables) {})
	if err != nil {
		return err
	}
	if err := in.impossible(); err != nil {
		return err
	}
	if wanted.Size != "" {
		if err := p.offered(ctx, wanted.Size); err != nil {
			return err
		}
		if err := p.resize(ctx, client, wanted, in.known, r); err != nil {
			return err
		}
	}
	return p.converge(ctx, w, r, func(v *variables) {
		if wanted.Nodes > 0 {
			v.NodeCount = wanted.Nodes
		}
		if wanted.Size != "" {
			v.NodeSize = wanted.Size
		}
	})
}

// offered refuses a size that Kubernetes nodes cannot have.
func (p *Provider) offered(ctx context.Context, size string) error {
	options, _, err := p.api.Kubernetes.GetOptions(ctx)
	if err != nil {
		return wrap("read the sizes on offer", explain(err))
	}
	var slugs []string
	for _, one := range options.Sizes {
		if one.Slug == size {
			return nil
		}
		slugs = append(slugs, one.Slug)
	}
	return fault.WithHint(fault.Usage("DigitalOcean has no nodes of size %s", size), "take one of: %s", strings.Join(slugs, ", "))
}

// resize moves everything to a node pool of the wanted size and removes the
// pool that was Terraform's before.
func (p *Provider) resize(ctx context.Context, client kubernetes.Interface, wanted provider.Scale, known state, r progress.Reporter) error {
	cluster, err := p.findCluster(ctx)
	if err != nil {
		return err
	}
	if cluster == nil {
		return fmt.Errorf("cluster %s: %w", p.config.DigitalOcean.Cluster, provider.ErrNotUp)
	}
	target, old := pools(cluster, wanted.Size)
	if target == nil {
		if target, err = p.makePool(ctx, cluster, wanted, known, r); err != nil {
			return err
		}
	}
	err = progress.Run(r, "Wait for the nodes of pool "+target.Name, func(step progress.Step) error {
		if err := p.tag(ctx, cluster.ID, target, true); err != nil {
			return err
		}
		if err := p.awaitPool(ctx, client, cluster.ID, target.ID, step); err != nil {
			return err
		}
		// A pool that was just made has told no names of its nodes.
		pool, _, err := p.api.Kubernetes.GetNodePool(ctx, cluster.ID, target.ID)
		if err != nil {
			return wrap("look at node pool "+target.Name, explain(err))
		}
		return reopen(ctx, client, pool.Nodes)
	})
	if err != nil {
		return err
	}
	for _, pool := range old {
		if err := p.retire(ctx, client, cluster.ID, pool, r); err != nil {
			return err
		}
	}
	return nil
}

// pools finds the pool of the wanted size that is to stay, or nil, and those
// that are to go: Terraform's of another size, and one that berth made and an
// interrupted scale has left without Terraform's tag. Pools that somebody else
// made have no tag of berth's and count as neither.
func pools(cluster *godo.KubernetesCluster, size string) (target *godo.KubernetesNodePool, old []*godo.KubernetesNodePool) {
	for _, pool := range cluster.NodePools {
		mine := slices.Contains(pool.Tags, mark) || slices.Contains(pool.Tags, defaultPool)
		switch {
		case !mine:
		case pool.Size == size && target == nil:
			target = pool
		default:
			old = append(old, pool)
		}
	}
	return target, old
}

// tag puts Terraform's tag on a pool, or takes it off.
func (p *Provider) tag(ctx context.Context, clusterID string, pool *godo.KubernetesNodePool, on bool) error {
	if slices.Contains(pool.Tags, defaultPool) == on {
		return nil
	}
	// An update with no tags at all would leave them; berth's own stays.
	tags := []string{mark}
	for _, tag := range pool.Tags {
		if tag != defaultPool && tag != mark && !strings.HasPrefix(tag, "k8s") {
			tags = append(tags, tag)
		}
	}
	if on {
		tags = append(tags, defaultPool)
	}
	// An update replaces what it does not say as well.
	_, _, err := p.api.Kubernetes.UpdateNodePool(ctx, clusterID, pool.ID, &godo.KubernetesNodePoolUpdateRequest{
		Name: pool.Name, Count: &pool.Count, Tags: tags, Labels: pool.Labels, Taints: &pool.Taints,
		AutoScale: &pool.AutoScale, MinNodes: &pool.MinNodes, MaxNodes: &pool.MaxNodes,
	})
	return wrap("tag node pool "+pool.Name, explain(err))
}

func (p *Provider) makePool(ctx context.Context, cluster *godo.KubernetesCluster, wanted provider.Scale, known state, r progress.Reporter) (pool *godo.KubernetesNodePool, err error) {
	request := &godo.KubernetesNodePoolCreateRequest{
		Name: p.poolName(wanted.Size), Size: wanted.Size, Tags: []string{mark, defaultPool}, Count: p.config.DigitalOcean.Nodes,
	}
	for _, before := range cluster.NodePools {
		if slices.Contains(before.Tags, defaultPool) {
			request.Count, request.AutoScale = before.Count, before.AutoScale
			request.MinNodes, request.MaxNodes = before.MinNodes, before.MaxNodes
			request.Labels, request.Taints = before.Labels, before.Taints
		}
	}
	if nodes := known.number("wanted_nodes"); nodes > 0 && !request.AutoScale {
		request.Count = nodes
	}
	if wanted.Nodes > 0 {
		request.Count = wanted.Nodes
		if request.AutoScale {
			request.MinNodes = wanted.Nodes
			request.MaxNodes = max(request.MaxNodes, wanted.Nodes)
		}
	}
	err = progress.Run(r, fmt.Sprintf("Make %d nodes of size %s", request.Count, wanted.Size), func(progress.Step) error {
		pool, _, err = p.api.Kubernetes.CreateNodePool(ctx, cluster.ID, request)
		return wrap("make node pool "+request.Name, explain(err))
	})
	return pool, err
}

// poolName is the name of a pool of the size, as the module names the first.
func (p *Provider) poolName(size string) string { return p.config.DigitalOcean.Cluster + "-" + size }

// retire takes Terraform's tag off a pool, moves its pods away and removes it.
func (p *Provider) retire(ctx context.Context, client kubernetes.Interface, clusterID string, pool *godo.KubernetesNodePool, r progress.Reporter) error {
	if err := p.tag(ctx, clusterID, pool, false); err != nil {
		return err
	}
	if err := p.evacuate(ctx, client, pool.Nodes, r); err != nil {
		return fault.WithHint(err, "the old nodes stay in service; run the same command again to continue")
	}
	return progress.Run(r, "Remove the nodes of pool "+pool.Name, func(step progress.Step) error {
		if _, err := p.api.Kubernetes.DeleteNodePool(ctx, clusterID, pool.ID); err != nil && !isNotFound(err) {
			return wrap("remove node pool "+pool.Name, explain(err))
		}
		return p.poll(ctx, removeTime, func(ctx context.Context) (bool, error) {
			_, _, err := p.api.Kubernetes.GetNodePool(ctx, clusterID, pool.ID)
			if isNotFound(err) {
				return true, nil
			}
			step.Detail("waiting until they are gone")
			return false, wrap("look at node pool "+pool.Name, explain(err))
		})
	})
}
