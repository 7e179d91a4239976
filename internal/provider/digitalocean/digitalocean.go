// Package digitalocean is the provider that makes a cluster at DigitalOcean:
// Kubernetes (DOKS), a Space for backups and logs, and what belongs to them.
//
// The Terraform module in terraform/digitalocean describes and changes them. This
// package runs it, and does what Terraform cannot do: it finds what an interrupted
// run has left, refuses plans that would lose data, resizes nodes without replacing
// the cluster, and removes the load balancers and volumes that Kubernetes has made.
//
// To use a cluster, for example for a deploy, a token is enough: the cluster is found
// by its name. Only Init, Scale and Destroy need Terraform and its state.
package digitalocean

import (
	"time"

	"github.com/digitalocean/godo"

	"berth/internal/config"
	"berth/internal/provider"
)

// The compiler checks what the commands ask for by type.
var (
	_ provider.Provider      = (*Provider)(nil)
	_ provider.Planner       = (*Provider)(nil)
	_ provider.Namer         = (*Provider)(nil)
	_ provider.BucketRemover = (*Provider)(nil)
)

// Provider is a cluster at DigitalOcean. It implements [provider.Provider].
type Provider struct {
	config *config.Config
	api    *godo.Client
	// pause is the time between two looks at what takes minutes.
	pause time.Duration
	// workspace is Terraform's since it was opened first: a command plans, makes
	// and names one after the other, and each start of Terraform takes a second.
	workspace *workspace
	// keptBeside is what Destroy has kept besides the Space.
	keptBeside []string
}

// New returns the provider for the settings under digitalocean in berth.yaml.
// It reaches for nothing yet.
func New(c *config.Config) (*Provider, error) {
	api, err := newAPI(c)
	if err != nil {
		return nil, err
	}
	return &Provider{config: c, api: api, pause: 3 * time.Second}, nil
}
