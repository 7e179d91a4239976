package release

import (
	"context"
	"fmt"

	helmrelease "helm.sh/helm/v4/pkg/release/v1"

	"berth/internal/fault"
	"berth/internal/images"
)

// checkImage returns an error when an image cannot be had any more, where the
// cluster's provider knows: to apply what names it would end in a pull that
// fails after minutes.
func (c *Client) checkImage(ctx context.Context, environment, reference string) error {
	if there, err := c.hasImage(ctx, reference); there || err != nil {
		return err
	}
	return fault.WithHint(fault.Usage("there is no image %s", reference),
		"leave out --image to build one: berth deploy %s", environment)
}

// checkRevision does the same for all images of a revision.
func (c *Client) checkRevision(ctx context.Context, environment string, r *helmrelease.Release) error {
	references, err := images.Of(r.Manifest)
	if err != nil {
		return fmt.Errorf("revision %d: %w", r.Version, err)
	}
	for _, reference := range references {
		there, err := c.hasImage(ctx, reference)
		if err != nil {
			return err
		}
		if !there {
			return fault.WithHint(fmt.Errorf("revision %d needs image %s, which is gone", r.Version, reference),
				"check out its commit to build it again: berth deploy %s", environment)
		}
	}
	return nil
}

func (c *Client) hasImage(ctx context.Context, reference string) (bool, error) {
	if c.cluster.HasImage == nil {
		return true, nil
	}
	return c.cluster.HasImage(ctx, reference)
}
