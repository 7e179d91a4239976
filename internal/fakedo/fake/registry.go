package fake

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/digitalocean/godo"
)

// Registry is a container registry with its subscription.
type Registry struct {
	godo.Registry
	Tier string `json:"fake_tier"`
}

var registryTiers = map[string]*godo.RegistrySubscriptionTier{
	"starter":      {Name: "Starter", Slug: "starter", IncludedRepositories: 1, IncludedStorageBytes: 500 << 20, IncludedBandwidthBytes: 500 << 20},
	"basic":        {Name: "Basic", Slug: "basic", IncludedRepositories: 5, IncludedStorageBytes: 5 << 30, AllowStorageOverage: true, IncludedBandwidthBytes: 5 << 30, MonthlyPriceInCents: 500},
	"professional": {Name: "Professional", Slug: "professional", IncludedStorageBytes: 100 << 30, AllowStorageOverage: true, IncludedBandwidthBytes: 100 << 30, MonthlyPriceInCents: 2000},
}

// routeRegistry answers below /v2/registries, and below /v2/registry for the
// account's only one, as before there could be several.
func (f *Fake) routeRegistry() {
	create := func(r *http.Request) (int, any, error) {
		var request godo.RegistryCreateRequest
		if err := decode(r, &request); err != nil {
			return 0, nil, err
		}
		tier := orElse(request.SubscriptionTierSlug, "basic")
		switch {
		case request.Name == "":
			return 0, nil, unprocessable("name is required")
		case registryTiers[tier] == nil:
			return 0, nil, unprocessable("invalid subscription tier")
		case len(f.account.Registries) > 0 && tier != "professional":
			return 0, nil, &apiError{http.StatusConflict, "conflict", "the subscription allows one registry"}
		case slices.ContainsFunc(f.account.Registries, func(o *Registry) bool { return o.Name == request.Name }):
			return 0, nil, &apiError{http.StatusConflict, "conflict", "name already exists"}
		}
		registry := &Registry{Tier: tier, Registry: godo.Registry{
			UUID: newID(), Name: request.Name, Region: orElse(request.Region, "fra1"), CreatedAt: f.options.Now().UTC(),
		}}
		f.account.Registries = append(f.account.Registries, registry)
		return http.StatusCreated, map[string]any{"registry": registry.Registry}, nil
	}
	get := f.withRegistry(func(registry *Registry) (int, any, error) {
		return http.StatusOK, map[string]any{"registry": registry.Registry}, nil
	})
	remove := f.withRegistry(func(registry *Registry) (int, any, error) {
		f.account.Registries = slices.DeleteFunc(f.account.Registries, func(o *Registry) bool { return o.Name == registry.Name })
		return http.StatusNoContent, nil, nil
	})
	credentials := f.withRegistry(func(*Registry) (int, any, error) {
		secret := "dop_v1_" + newSecret(32)
		config, err := json.Marshal(map[string]any{"auths": map[string]any{godo.RegistryServer: map[string]string{
			"auth": base64.StdEncoding.EncodeToString([]byte(secret + ":" + secret)),
		}}})
		return http.StatusOK, json.RawMessage(config), err
	})

	f.handle("GET /v2/registries", func(*http.Request) (int, any, error) {
		all := []*godo.Registry{}
		for _, registry := range f.account.Registries {
			all = append(all, &registry.Registry)
		}
		return http.StatusOK, map[string]any{"registries": all}, nil
	})
	f.handle("POST /v2/registries", create)
	f.handle("GET /v2/registries/{registry}", get)
	f.handle("DELETE /v2/registries/{registry}", remove)
	f.handle("GET /v2/registries/{registry}/docker-credentials", credentials)
	f.handle("POST /v2/registry", create)
	f.handle("GET /v2/registry", get)
	f.handle("DELETE /v2/registry", remove)
	f.handle("GET /v2/registry/docker-credentials", credentials)
	for _, prefix := range []string{"/v2/registries", "/v2/registry"} {
		f.handle("GET "+prefix+"/subscription", f.withRegistry(f.subscription))
		f.handle("POST "+prefix+"/subscription", func(r *http.Request) (int, any, error) {
			var request godo.RegistrySubscriptionUpdateRequest
			if err := decode(r, &request); err != nil {
				return 0, nil, err
			}
			if registryTiers[request.TierSlug] == nil {
				return 0, nil, unprocessable("invalid subscription tier")
			}
			return f.withRegistry(func(registry *Registry) (int, any, error) {
				registry.Tier = request.TierSlug
				return f.subscription(registry)
			})(r)
		})
	}
	integrate := func(enabled bool) endpoint {
		return func(r *http.Request) (int, any, error) {
			var request godo.KubernetesClusterRegistryRequest
			if err := decode(r, &request); err != nil {
				return 0, nil, err
			}
			if len(f.account.Registries) == 0 {
				return 0, nil, &apiError{http.StatusPreconditionFailed, "precondition_failed", "the account has no registry"}
			}
			for _, id := range request.ClusterUUIDs {
				c, err := find(f.account.Clusters, func(c *Cluster) bool { return c.ID == id && c.Deleted == nil })
				if err != nil {
					return 0, nil, err
				}
				c.RegistryEnabled = enabled
			}
			return http.StatusNoContent, nil, nil
		}
	}
	f.handle("POST /v2/kubernetes/registry", integrate(true))
	f.handle("DELETE /v2/kubernetes/registry", integrate(false))
}

func (f *Fake) subscription(registry *Registry) (int, any, error) {
	return http.StatusOK, map[string]any{"subscription": godo.RegistrySubscription{
		Tier: registryTiers[registry.Tier], CreatedAt: registry.CreatedAt, UpdatedAt: registry.CreatedAt,
	}}, nil
}

// withRegistry finds the registry of the path, or the only one: where there are
// several, a path without a name means none.
func (f *Fake) withRegistry(work func(*Registry) (int, any, error)) endpoint {
	return func(r *http.Request) (int, any, error) {
		name := r.PathValue("registry")
		if strings.HasPrefix(r.URL.Path, "/v2/registry") && len(f.account.Registries) > 1 {
			return 0, nil, &apiError{http.StatusPreconditionFailed, "precondition_failed", "the account has several registries: use /v2/registries"}
		}
		registry, err := find(f.account.Registries, func(o *Registry) bool { return name == "" || name == o.Name })
		if err != nil {
			return 0, nil, err
		}
		return work(registry)
	}
}
