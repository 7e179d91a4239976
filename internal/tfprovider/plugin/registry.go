package plugin

import (
	"context"
	"fmt"

	"github.com/digitalocean/godo"
)

func registryResource() *resource {
	read := func(ctx context.Context, c *clients, state object) (object, error) {
		registry, _, err := c.api.Registries.Get(ctx, state.text("id"))
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("error retrieving container registry: %w", err)
		}
		subscription, _, err := c.api.Registries.GetSubscription(ctx)
		if err != nil {
			return nil, fmt.Errorf("error retrieving container registry subscription: %w", err)
		}
		for name, value := range map[string]any{
			"name": registry.Name, "region": registry.Region, "endpoint": godo.RegistryServer + "/" + registry.Name, "server_url": godo.RegistryServer,
			"created_at": stamp(registry.CreatedAt), "storage_usage_bytes": float64(registry.StorageUsageBytes), "subscription_tier_slug": subscription.Tier.Slug,
		} {
			state[name] = value
		}
		return state, nil
	}
	return &resource{
		forceNew: []string{"name", "region"},
		create: func(ctx context.Context, c *clients, planned object) (object, error) {
			registry, _, err := c.api.Registries.Create(ctx, &godo.RegistryCreateRequest{
				Name: planned.text("name"), SubscriptionTierSlug: planned.text("subscription_tier_slug"), Region: planned.text("region"),
			})
			if err != nil {
				return nil, fmt.Errorf("error creating container registry: %w", err)
			}
			planned["id"] = registry.Name
			return read(ctx, c, settle(planned))
		},
		read: read,
		update: func(ctx context.Context, c *clients, prior, planned object) (object, error) {
			if changed(prior, planned, "subscription_tier_slug") {
				request := &godo.RegistrySubscriptionUpdateRequest{TierSlug: planned.text("subscription_tier_slug")}
				if _, _, err := c.api.Registries.UpdateSubscription(ctx, request); err != nil {
					return nil, fmt.Errorf("error updating container registry subscription: %w", err)
				}
			}
			return read(ctx, c, planned)
		},
		remove: func(ctx context.Context, c *clients, state object) error {
			if _, err := c.api.Registries.Delete(ctx, state.text("id")); err != nil {
				return fmt.Errorf("error deleting container registry: %w", err)
			}
			return nil
		},
		imported: byID,
	}
}
