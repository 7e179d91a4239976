package release

import (
	"maps"

	"berth/internal/config"
	"berth/internal/provider"
)

// values returns what the chart is given for an environment: what berth.yaml
// and the cluster say, with the environment's own values laid over it.
func values(c *config.Config, e config.Environment, cluster *provider.Cluster, image string, s secretNames) map[string]any {
	ingress := map[string]any{
		"className": cluster.IngressClass,
		"hosts":     list(e.Hosts),
		"tlsSecret": s.tls,
		"issuer":    cluster.Issuer,
	}
	postgresql := map[string]any{"enabled": e.Database == config.Postgres}
	if e.Database == config.Postgres {
		postgresql["existingSecret"] = s.postgresql
		postgresql["storageClass"] = cluster.StorageClass
		if cluster.Postgres != "" {
			postgresql["image"] = map[string]any{"reference": cluster.Postgres}
		}
	}
	sqlite := map[string]any{"enabled": e.Database == config.SQLite}
	if e.Database == config.SQLite {
		sqlite["storageClass"] = cluster.StorageClass
	}
	env := map[string]any{}
	for name, value := range c.Env {
		env[name] = value
	}
	base := map[string]any{
		"image":          map[string]any{"reference": image},
		"replicas":       e.Replicas,
		"port":           c.Port,
		"health":         c.Health.Path,
		"env":            env,
		"envSecret":      s.env,
		"configChecksum": s.checksum,
		"ingress":        ingress,
		"sqlite":         sqlite,
		"postgresql":     postgresql,
	}
	if s.upstream != "" {
		base["tls"] = map[string]any{"secret": s.upstream}
	}
	return merge(base, e.Values)
}

// merge lays over on base: tables are merged, everything else is replaced.
// Neither is changed.
func merge(base, over map[string]any) map[string]any {
	merged := maps.Clone(base)
	for key, value := range over {
		below, isTable := merged[key].(map[string]any)
		above, also := value.(map[string]any)
		if isTable && also {
			value = merge(below, above)
		}
		merged[key] = value
	}
	return merged
}

// list turns strings into what Helm's templates and schemas take for a list.
func list(items []string) []any {
	l := make([]any, 0, len(items))
	for _, item := range items {
		l = append(l, item)
	}
	return l
}
