package digitalocean

import (
	"context"
	"slices"
	"strings"

	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Publish builds an image and pushes it to the registry. The reference is by
// digest, so the cluster runs exactly what was released.
func (p *Provider) Publish(ctx context.Context, b provider.Build, r progress.Reporter) (string, error) {
	return image.Publish(ctx, b, p.registry(), r)
}

// pullLogins are for all images but those in the registry at DigitalOcean that
// the cluster is allowed to read anyway.
func (p *Provider) pullLogins(ctx context.Context, references ...string) ([]byte, error) {
	if p.config.DigitalOcean.ContainerRegistry != "" {
		references = slices.DeleteFunc(slices.Clone(references), func(r string) bool { return strings.HasPrefix(r, p.registry()+"/") })
	}
	return image.PullLogins(ctx, references...)
}

func (p *Provider) registry() string {
	if name := p.config.DigitalOcean.ContainerRegistry; name != "" {
		return "registry.digitalocean.com/" + name
	}
	return p.config.DigitalOcean.Registry
}
