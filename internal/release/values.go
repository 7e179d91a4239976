package release

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"berth/internal/config"
	"berth/internal/provider"
)

// values returns what the chart is given for an environment: what berth.yaml
// and the cluster say, with the environment's own values laid over it.
func values(c *config.Config, environment string, cluster *provider.Cluster, image string, s secretNames) map[string]any {
	e := c.Environments[environment]
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
		if e.DatabaseVersion != 0 {
			postgresql["version"] = e.DatabaseVersion
		}
		if image := databaseImage(cluster, e.DatabaseVersion); image != "" {
			postgresql["image"] = map[string]any{"reference": image}
		}
	}
	sqlite := map[string]any{"enabled": e.Database == config.SQLite}
	if e.Database == config.SQLite {
		sqlite["storageClass"] = cluster.StorageClass
	}
	base := map[string]any{
		"image":          map[string]any{"reference": image},
		"replicas":       e.Replicas,
		"port":           c.Port,
		"env":            table(c.EnvOf(environment)),
		"references":     table(c.References),
		"secrets":        map[string]any{"name": s.env, "keys": list(s.keys)},
		"configChecksum": s.checksum,
		"processes":      processes(c, environment),
		"volumes":        volumes(c),
		"services":       services(c, cluster),
		"ingress":        ingress,
		"sqlite":         sqlite,
		"postgresql":     postgresql,
	}
	if c.HasWeb() {
		base["command"] = list(c.Command)
		base["health"] = map[string]any{
			"path": c.Health.Path, "host": c.HealthHost(environment),
			"timeoutSeconds": c.Health.Timeout.Seconds(), "http": c.Health.ByHTTP(),
		}
	}
	if len(c.Volumes) > 0 {
		base["volumeStorageClass"] = cluster.StorageClass
	}
	if len(c.Release.Command) > 0 {
		base["release"] = map[string]any{"command": list(c.Release.Command), "timeoutSeconds": c.Release.Timeout.Seconds()}
	}
	if r := resources(c.Resources); len(r) > 0 {
		base["resources"] = r
	}
	if user, group, _ := strings.Cut(c.User, ":"); user != "" {
		base["runAsUser"] = number(user)
		// Without one of its own, the group of the same number: the files of a
		// volume belong to it.
		base["runAsGroup"] = number(cmp.Or(group, user))
	}
	if !c.Writable.All() {
		base["readOnlyRootFilesystem"] = true
		base["writablePaths"] = list(c.Writable)
	}
	if s.pull != "" {
		by := map[string]any{"pullSecrets": []any{s.pull}}
		base = merge(base, map[string]any{"image": by, "services": by, "postgresql": map[string]any{"image": by}})
	}
	if s.upstream != "" {
		base["tls"] = map[string]any{"secret": s.upstream}
	}
	return merge(base, e.Values)
}

// processes are the workers and cron jobs of an environment.
func processes(c *config.Config, environment string) map[string]any {
	all := map[string]any{}
	for name, p := range c.Processes {
		one := map[string]any{"command": list(p.Command), "env": table(p.Env)}
		if p.Scheduled() {
			one["schedule"], one["timeZone"], one["deadlineSeconds"] = p.Schedule, p.TimeZone, p.Deadline.Seconds()
		} else {
			one["replicas"] = c.ReplicasOf(environment, name)
		}
		if r := resources(p.Resources); len(r) > 0 {
			one["resources"] = r
		}
		all[name] = one
	}
	return all
}

// resources are what berth.yaml says of them, in Kubernetes' words.
func resources(r config.Resources) map[string]any {
	requests := map[string]any{}
	all := map[string]any{}
	if r.CPU != "" {
		requests["cpu"] = r.CPU
	}
	if r.Memory != "" {
		requests["memory"] = r.Memory
		all["limits"] = map[string]any{"memory": r.Memory}
	}
	if len(requests) > 0 {
		all["requests"] = requests
	}
	return all
}

func volumes(c *config.Config) map[string]any {
	all := map[string]any{}
	for name, v := range c.Volumes {
		all[name] = map[string]any{"path": v.Path, "size": v.Size}
	}
	return all
}

// services are the servers of the application's own.
func services(c *config.Config, cluster *provider.Cluster) map[string]any {
	servers := map[string]any{}
	kinds := map[string]any{}
	for name, kind := range c.Services {
		servers[name] = map[string]any{"kind": kind, "secret": serviceSecret(c, name), "variables": list(c.ServiceVariables(name))}
		if image := cluster.Services[kind]; image != "" {
			kinds[kind] = map[string]any{"image": image}
		}
	}
	all := map[string]any{"servers": servers}
	if len(kinds) > 0 {
		all["kinds"] = kinds
	}
	if len(servers) > 0 {
		all["storageClass"] = cluster.StorageClass
	}
	return all
}

// serviceSecret is the name of the Secret with a service's password.
func serviceSecret(c *config.Config, service string) string { return c.Name + "-" + service }

// merge lays over on base: tables are merged, everything else is replaced.
// Neither is changed.
func merge(base, over map[string]any) map[string]any {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]any{}
	}
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

// table turns variables into what Helm's templates and schemas take for one.
func table(variables map[string]string) map[string]any {
	t := make(map[string]any, len(variables))
	for name, value := range variables {
		t[name] = value
	}
	return t
}

// number reads what package config has checked.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
