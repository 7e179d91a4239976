package local

import (
	"berth/internal/config"
	"berth/internal/provider"
)

// Traits implements provider.Provider.
func (p *Provider) Traits() provider.Traits { return Traits() }

// Traits are those of the cluster on this machine.
func Traits() provider.Traits {
	return provider.Traits{
		Cluster: "local", Here: true, Owned: true, CheckSize: config.CheckSize,
		Removes: []string{"the cluster itself with its nodes, volumes and bucket"},
		Keeps:   []string{"berth.yaml, .env and installed packages"},
	}
}
