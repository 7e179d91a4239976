package digitalocean

import (
	"fmt"

	"berth/internal/config"
	"berth/internal/provider"
)

// Traits implements provider.Provider. DigitalOcean itself says which sizes there
// are.
func (p *Provider) Traits() provider.Traits { return Traits(p.config) }

// Traits are those of what berth.yaml describes.
func Traits(c *config.Config) provider.Traits {
	d := c.DigitalOcean
	t := provider.Traits{
		Cluster: d.Cluster, Owned: true, KeepsBucket: true, Bucket: d.Bucket, BucketKind: "Space",
		Removes: []string{"the cluster itself with its nodes, network, load balancers and volumes"},
	}
	if d.Database != "" {
		t.Keeps = append(t.Keeps, fmt.Sprintf("the managed PostgreSQL %s-postgres with its databases, and its network", d.Cluster))
	}
	t.Keeps = append(t.Keeps, "container registries")
	return t
}
