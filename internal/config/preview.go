package config

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Previews says what an environment for a branch is made of: see [Config.Preview]. They
// can be made where From names an environment.
type Previews struct {
	// From is the environment that previews are like.
	From string `yaml:"from"`
	// Data says what their database begins with.
	Data Data `yaml:"data"`
	// Mask says what stands in columns of a copy in place of what is there: "email" for
	// an address that nobody has, null (here "") for NULL, and any other text for itself.
	// A column is table.column of the schema public, or schema.table.column.
	Mask map[string]string `yaml:"mask"`
	// Seed is run once in a preview whose database begins empty, when it serves.
	Seed Command `yaml:"seed"`
	// Env is laid over the variables of From.
	Env map[string]string `yaml:"env"`
	// Host is the wildcard that previews answer below, each at a name of its own.
	Host string `yaml:"host"`
	// Expire is how long a preview lasts after it was last brought up to date.
	Expire Duration `yaml:"expire"`
	// Limit is how many there may be.
	Limit int `yaml:"limit"`
}

// Data is what the database of a preview starts with.
type Data string

// CopiedData is the last verified backup with columns masked; EmptyData is nothing.
const (
	CopiedData Data = "copy"
	EmptyData  Data = "empty"
)

// The masks that are no text of their own. An empty text stands for null, as YAML's
// null does.
const (
	MaskEmail = "email"
	MaskNull  = ""
)

// previewSecrets is what a secret of previews begins with in .env, as if they were an
// environment of that name.
const previewSecrets = "preview"

// PreviewSecret is the entry of .env that holds a secret for previews. No other is given
// to them.
func PreviewSecret(name string) string { return OwnSecret(previewSecrets, name) }

// SecretEntry is the common entry of .env for a secret; the environment's own entry
// overrides it.
func (c *Config) SecretEntry(name string) string {
	if c.preview {
		return PreviewSecret(name)
	}
	return name
}

// Enabled reports whether there can be previews.
func (p Previews) Enabled() bool { return p.From != "" }

func (p *Previews) setDefaults(c *Config) {
	if !p.Enabled() {
		return
	}
	fill(&p.Data, EmptyData)
	fill(&p.Expire, Duration(72*time.Hour))
	c.fillNumber("previews.limit", &p.Limit, 5)
	if c.Provider == "local" {
		fill(&p.Host, "*.preview."+c.Name+".localhost")
	}
}

// PreviewHost is the name that the preview of a DNS label answers to.
func (c *Config) PreviewHost(label string) string {
	return label + strings.TrimPrefix(c.Previews.Host, "*")
}

// Preview is the configuration of one preview, as its only environment: like the one
// that previews are from, with one pod of each process, and without backups, cron jobs
// and secrets of any other environment.
func (c *Config) Preview(environment, host string) *Config {
	all := *c
	all.preview = true
	e := c.Environments[c.Previews.From]
	all.DotEnv = maps.Clone(c.DotEnv)
	for _, name := range c.SecretsOf(c.Previews.From) {
		// What is not named is made up.
		delete(all.DotEnv, name)
		delete(all.DotEnv, OwnSecret(c.Previews.From, name))
		if value, ok := c.DotEnv[PreviewSecret(name)]; ok {
			all.DotEnv[OwnSecret(environment, name)] = value
		}
	}
	all.Processes = map[string]Process{}
	processes := map[string]int{}
	for name, p := range c.Processes {
		if !p.Scheduled() {
			all.Processes[name] = p
			processes[name] = min(1, c.ReplicasOf(c.Previews.From, name))
		}
	}
	e.Env = maps.Clone(e.Env)
	if e.Env == nil {
		e.Env = map[string]string{}
	}
	maps.Copy(e.Env, c.Previews.Env)
	e.Hosts, e.Replicas, e.Processes, e.Backup, e.Rehearse = []string{host}, 1, processes, Backup{}, false
	e.Values = previewValues(e.Values)
	all.Environments = map[string]Environment{environment: e}
	return all.Only(environment)
}

// previewValues are the chart's values of an environment without those that make it
// large or slow to go, or the one that answers to its hosts. A namespace is removed the
// sooner the less time its pods may take to end.
func previewValues(values map[string]any) map[string]any {
	all := maps.Clone(values)
	if all == nil {
		all = map[string]any{}
	}
	delete(all, "replicas")
	off := map[string]any{"enabled": false}
	all["autoscaling"], all["pdb"] = off, off
	all["preStopSeconds"], all["terminationGracePeriodSeconds"] = 5, 10
	postgresql, _ := all["postgresql"].(map[string]any)
	if postgresql = maps.Clone(postgresql); postgresql == nil {
		postgresql = map[string]any{}
	}
	postgresql["terminationGracePeriodSeconds"] = 10
	all["postgresql"] = postgresql
	if ingress, ok := all["ingress"].(map[string]any); ok {
		ingress = maps.Clone(ingress)
		delete(ingress, "hosts")
		delete(ingress, "tlsSecret")
		all["ingress"] = ingress
	}
	return all
}

func (c *Config) validatePreviews(m *mistakes) {
	p := c.Previews
	if !p.Enabled() {
		if m.has("previews") {
			m.add("previews.from", "must name the environment that previews are like")
		}
		return
	}
	from, known := c.Environments[p.From]
	if !known {
		m.add("previews.from", "there is no such environment; %s", suggest(p.From, c.EnvironmentNames()))
		return
	}
	if !c.HasWeb() {
		m.add("previews", "are for applications that answer requests: this one has no port")
	}
	if _, taken := c.Environments[previewSecrets]; taken {
		m.add("environments."+previewSecrets, "the name is that of previews, whose secrets in .env begin with %s", PreviewSecret(""))
	}
	c.validatePreviewHost(m)
	c.validatePreviewData(m, from)
	c.validateVariables(m, "previews.", p.Env, nil)
	if time.Duration(p.Expire) < time.Minute || time.Duration(p.Expire) > 30*24*time.Hour {
		m.add("previews.expire", "must be 1m to 720h; it is %s", p.Expire)
	}
	if p.Limit < 1 {
		m.add("previews.limit", "must be 1 or more; it is %d", p.Limit)
	}
}

func (c *Config) validatePreviewHost(m *mistakes) {
	const at = "previews.host"
	host := c.Previews.Host
	switch {
	case host == "":
		m.add(at, "must name the wildcard for previews, like *.preview.shop.example; its DNS record points to the cluster")
	case !strings.HasPrefix(host, "*.") || len(validation.IsWildcardDNS1123Subdomain(host)) > 0:
		m.add(at, "must be a wildcard, like *.preview.shop.example; it is %q", host)
	case len(host) > 180:
		m.add(at, "must leave room for the name of a branch; it has %d characters", len(host))
	}
	for _, name := range c.EnvironmentNames() {
		if slices.Contains(c.Environments[name].Hosts, host) {
			m.add(at, "%s is a host of %s already", host, name)
		}
	}
}

func (c *Config) validatePreviewData(m *mistakes, from Environment) {
	p := c.Previews
	switch p.Data {
	case CopiedData:
		switch {
		case !from.Backup.Enabled():
			m.add("previews.data", "%s has no backups to make a copy from: give it a database, and its backup a schedule", p.From)
		case !m.has("previews.mask"):
			m.add("previews.data", "a copy needs a mask: name the columns that tell of people, or write mask: {} where there are none")
		case from.Database != Postgres && len(p.Mask) > 0:
			m.add("previews.mask", "is for the database %s; that of %s is %s", Postgres, p.From, from.Database)
		}
		if m.has("previews.seed") {
			m.add("previews.seed", "is for data: %s", EmptyData)
		}
	case EmptyData:
		if m.has("previews.mask") {
			m.add("previews.mask", "is for data: %s", CopiedData)
		}
		if m.has("previews.seed") {
			checkCommand(m, "previews.seed", p.Seed)
		}
	default:
		m.add("previews.data", "must be %s or %s; it is %q", CopiedData, EmptyData, string(p.Data))
	}
	for _, column := range slices.Sorted(maps.Keys(p.Mask)) {
		if parts := strings.Split(column, "."); len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
			m.add("previews.mask."+column, "must be table.column, or schema.table.column")
		}
	}
}
