package digitalocean

import (
	"slices"
	"strings"

	"berth/internal/config"
)

// The addresses of what the module makes, and the types of what holds data.
const (
	vpcType            = "digitalocean_vpc"
	vpcAddress         = vpcType + ".main"
	clusterType        = "digitalocean_kubernetes_cluster"
	clusterAddress     = clusterType + ".main"
	bucketType         = "digitalocean_spaces_bucket"
	bucketAddress      = bucketType + ".main"
	keyAddress         = "digitalocean_spaces_key.main"
	projectAddress     = "digitalocean_project.main"
	domainAddress      = "digitalocean_domain.main[0]"
	recordAddress      = "digitalocean_record.host"
	membersAddress     = "digitalocean_project_resources.main"
	registryType       = "digitalocean_container_registry"
	registryAddress    = registryType + ".main[0]"
	databaseType       = "digitalocean_database_cluster"
	databaseAddress    = databaseType + ".main[0]"
	databaseSchemaType = "digitalocean_database_db"
	firewallType       = "digitalocean_database_firewall"
)

// mark is the tag on every cluster and node pool that berth makes. One of the
// same name without it is somebody else's.
const mark = "berth"

// variables are the module's, by the names in its variables.tf. What is left
// out there has its default. None is secret.
type variables struct {
	Name              string   `json:"name"`
	Region            string   `json:"region"`
	KubernetesVersion *string  `json:"kubernetes_version"`
	HA                bool     `json:"ha"`
	MaintenanceDay    string   `json:"maintenance_day"`
	MaintenanceStart  string   `json:"maintenance_start"`
	NodeSize          string   `json:"node_size"`
	NodeCount         int      `json:"node_count"`
	MaxNodes          *int     `json:"max_nodes"`
	Tags              []string `json:"tags"`
	Bucket            string   `json:"bucket"`
	Domain            *string  `json:"domain"`
	CreateDomain      bool     `json:"create_domain"`
	Hosts             []string `json:"hosts"`
	IngressIP         *string  `json:"ingress_ip"`
	Registry          *string  `json:"registry"`
	RegistryTier      *string  `json:"registry_tier"`
	PostgresSize      *string  `json:"postgres_size"`
	PostgresDatabases []string `json:"postgres_databases"`
}

// newVariables returns what berth.yaml says. What scale has said since is laid
// over it by [variables.follow].
func newVariables(c *config.Config) variables {
	d := c.DigitalOcean
	day, start, _ := strings.Cut(d.Maintenance, " ")
	v := variables{
		Name: d.Cluster, Region: d.Region, KubernetesVersion: optional(d.Version), HA: d.HighAvailability,
		MaintenanceDay: day, MaintenanceStart: start,
		NodeSize: d.Size, NodeCount: d.Nodes, MaxNodes: optional(d.MaxNodes), Tags: []string{mark},
		Bucket: d.Bucket, Domain: optional(d.Domain), Hosts: []string{}, Registry: optional(d.ContainerRegistry),
		PostgresSize: optional(d.Database), PostgresDatabases: []string{},
	}
	if d.Domain != "" {
		v.Hosts = hostsIn(c, d.Domain)
	}
	if d.Database != "" {
		for _, name := range c.EnvironmentNames() {
			// The others have a database in the cluster.
			if c.Environments[name].Database == config.NoDatabase {
				v.PostgresDatabases = append(v.PostgresDatabases, name)
			}
		}
	}
	return v
}

// follow takes over the nodes that were wanted last, else those that the
// cluster has, so that berth.yaml's are only what a new cluster begins with; and
// the subscription to registries, which is the whole account's.
func (v *variables) follow(s state, found *inventory) {
	if found.tier != nil {
		v.RegistryTier = &found.tier.Slug
	}
	if pool := found.pool(); pool != nil {
		v.NodeSize = pool.Size
		// A pool that grows by itself has the least number in MinNodes.
		if v.NodeCount = pool.Count; pool.AutoScale {
			v.NodeCount = pool.MinNodes
		}
	}
	if size := s.text("wanted_size"); size != "" {
		v.NodeSize = size
	}
	if nodes := s.number("wanted_nodes"); nodes > 0 {
		v.NodeCount = nodes
	}
	if v.MaxNodes != nil {
		*v.MaxNodes = max(*v.MaxNodes, v.NodeCount)
	}
}

// hostsIn are the hosts of all environments that are the domain or below it.
func hostsIn(c *config.Config, domain string) []string {
	hosts := []string{}
	for _, environment := range c.Environments {
		for _, host := range environment.Hosts {
			if host == domain || strings.HasSuffix(host, "."+domain) {
				hosts = append(hosts, host)
			}
		}
	}
	slices.Sort(hosts)
	return hosts
}

// optional is nil for what was left out, which the module takes for null.
func optional[T comparable](value T) *T {
	var none T
	if value == none {
		return nil
	}
	return &value
}
