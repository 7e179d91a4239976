package existing

import (
	"berth/internal/config"
	"berth/internal/provider"
)

// Traits implements provider.Provider.
func (p *Provider) Traits() provider.Traits { return Traits(p.config) }

// Traits are those of the cluster that berth.yaml names.
func Traits(c *config.Config) provider.Traits {
	return provider.Traits{
		Cluster: c.Existing.Context, KeepsBucket: true, CheckSize: config.CheckSize,
		Keeps: []string{"the cluster, its nodes, everything else in it, the bucket and the images"},
	}
}
