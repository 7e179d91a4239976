package local

import (
	"context"

	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/local/supervisor"
)

// Publish implements provider.Provider. It may run beside Init, which starts
// the registry: the image is then built before there is one, and pushed after.
func (p *Provider) Publish(ctx context.Context, b provider.Build, r progress.Reporter) (reference string, err error) {
	if err := p.prepare(ctx, r); err != nil {
		return "", err
	}
	err = p.images.use(ctx, []provider.Build{b}, r, func() error {
		if !supervisor.Running(p.layout.supervisor(), registryPart) {
			if err := p.images.build(ctx, b, r); err != nil {
				return err
			}
		}
		if err := p.awaitRegistry(ctx); err != nil {
			return err
		}
		if err := p.holdImages(ctx); err != nil {
			return err
		}
		reference, err = p.images.push(ctx, b, r)
		return err
	})
	return reference, err
}
