package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// DigitalOcean holds the settings of the provider that makes a cluster at
// DigitalOcean. Its token and keys are in .env.
type DigitalOcean struct {
	// Cluster is the cluster's name. What is found under it belongs to berth.
	Cluster string `yaml:"cluster"`
	// Region is a slug of DigitalOcean's that has both Kubernetes and Spaces.
	Region string `yaml:"region"`
	// Version is the minor version of Kubernetes, as "1.34"; empty takes the
	// newest for a new cluster, and leaves one that is there as it is.
	Version string `yaml:"version"`
	// Nodes and Size are what the cluster begins with; scale changes them.
	Nodes int    `yaml:"nodes"`
	Size  string `yaml:"size"`
	// MaxNodes lets DigitalOcean add nodes up to this number when pods find no
	// room, and take them away again down to Nodes. 0 leaves the number fixed.
	MaxNodes int `yaml:"maxNodes"`
	// HighAvailability doubles the control plane. It cannot be undone.
	HighAvailability bool `yaml:"highAvailability"`
	// Maintenance is when the cluster may be upgraded, as "sunday 04:00" UTC.
	Maintenance string `yaml:"maintenance"`
	// Bucket is the Space for backups and logs. Its name is shared by all
	// customers of a region.
	Bucket string `yaml:"bucket"`
	// State is a Space that keeps Terraform's state for all who run berth;
	// empty keeps it in a file on this machine.
	State string `yaml:"state"`
	// Domain is made at DigitalOcean's name servers, with a record for each
	// environment's host below it.
	Domain string `yaml:"domain"`
	// Registry is where built images are pushed, as "ghcr.io/me".
	Registry string `yaml:"registry"`
	// ContainerRegistry is the name of a registry to make at DigitalOcean,
	// instead of Registry.
	ContainerRegistry string `yaml:"containerRegistry"`
	// Database is the size of a managed PostgreSQL cluster, as
	// "db-s-1vcpu-1gb", with a database for each environment that has none of
	// its own; empty makes none.
	Database string `yaml:"database"`
	// Ingress says who lets requests in: one of [Ingresses].
	Ingress string `yaml:"ingress"`
	// IngressClass is the class that application Ingresses name.
	IngressClass string `yaml:"ingressClass"`
	// Certificates says who signs the hosts' certificates: one of
	// [CertificateSources].
	Certificates string `yaml:"certificates"`
	// Email is where Let's Encrypt writes to when a certificate is about to
	// end; empty for nowhere.
	Email string `yaml:"email"`
	// StorageClass for volumes.
	StorageClass string `yaml:"storageClass"`
}

// The names of DigitalOcean's credentials in .env, as Terraform's provider and
// DigitalOcean's own tools call them.
const (
	DigitalOceanToken  = "DIGITALOCEAN_TOKEN"
	SpacesAccessKey    = "SPACES_ACCESS_KEY_ID"
	SpacesSecretKey    = "SPACES_SECRET_ACCESS_KEY"
	DigitalOceanAPIURL = "DIGITALOCEAN_API_URL"
	SpacesEndpointURL  = "SPACES_ENDPOINT_URL"
)

// The ingresses of a cluster at DigitalOcean: F5's NGINX Ingress Controller
// behind a load balancer, or whatever the operator has put there.
const (
	IngressF5   = "f5"
	IngressNone = "none"
)

// Ingresses are the values of digitalocean.ingress.
var Ingresses = []string{IngressF5, IngressNone}

// Who signs certificates. Those of Let's Encrypt's staging service are trusted
// by nobody, but cost none of the weekly limit while things are tried.
const (
	NoCertificates     = "none"
	LetsEncryptStaging = "letsencrypt-staging"
	LetsEncrypt        = "letsencrypt"
)

// CertificateSources are the values of digitalocean.certificates.
var CertificateSources = []string{NoCertificates, LetsEncryptStaging, LetsEncrypt}

func (d *DigitalOcean) setDefaults(name string) {
	fill(&d.Cluster, name)
	fill(&d.Region, "fra1")
	fill(&d.Size, "s-2vcpu-4gb")
	fill(&d.Maintenance, "sunday 04:00")
	fill(&d.Ingress, IngressF5)
	fill(&d.IngressClass, "nginx")
	fill(&d.Certificates, NoCertificates)
	fill(&d.StorageClass, "do-block-storage")
}

var (
	slug        = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	minor       = regexp.MustCompile(`^1\.[0-9]{1,3}$`)
	maintenance = regexp.MustCompile(`^(any|monday|tuesday|wednesday|thursday|friday|saturday|sunday) ([01][0-9]|2[0-3]):00$`)
	// A Space's name is a DNS label: it becomes a part of its host.
	spaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)
)

func (c *Config) validateDigitalOcean(m *mistakes) {
	d := c.DigitalOcean
	if len(validation.IsDNS1035Label(d.Cluster)) > 0 || len(d.Cluster) > maxName {
		m.add("digitalocean.cluster", "must be a DNS label of at most %d characters, lower-case letters, digits and dashes beginning with a letter; it is %q", maxName, d.Cluster)
	}
	for _, one := range []struct{ key, value, like string }{
		{"region", d.Region, "fra1"}, {"size", d.Size, "s-2vcpu-4gb"}, {"database", d.Database, "db-s-1vcpu-1gb"},
	} {
		if one.value != "" && !slug.MatchString(one.value) {
			m.add("digitalocean."+one.key, "must be a slug of DigitalOcean's like %s; it is %q", one.like, one.value)
		}
	}
	if d.Version != "" && !minor.MatchString(d.Version) {
		m.add("digitalocean.version", "must be a minor version like \"1.34\", in quotes; it is %q", d.Version)
	}
	if d.Nodes < 1 {
		m.add("digitalocean.nodes", "must be 1 or more; it is %d", d.Nodes)
	}
	if d.MaxNodes != 0 && d.MaxNodes < d.Nodes {
		m.add("digitalocean.maxNodes", "must be nodes or more, or 0; it is %d", d.MaxNodes)
	}
	if !maintenance.MatchString(d.Maintenance) {
		m.add("digitalocean.maintenance", "must be a day or any, and a full hour in UTC, like \"sunday 04:00\"; it is %q", d.Maintenance)
	}
	if d.Bucket == "" {
		m.add("digitalocean.bucket", "must name the Space for backups and logs; the name must be new to all of the region")
	}
	for _, one := range []struct{ key, value string }{{"bucket", d.Bucket}, {"state", d.State}} {
		if one.value != "" && !spaceName.MatchString(one.value) {
			m.add("digitalocean."+one.key, "must be 3 to 63 lower-case letters, digits and dashes; it is %q", one.value)
		}
	}
	if d.State != "" && d.State == d.Bucket {
		m.add("digitalocean.state", "must be another Space than bucket, which a destroy may remove")
	}
	if d.Domain != "" && len(validation.IsDNS1123Subdomain(d.Domain)) > 0 {
		m.add("digitalocean.domain", "must be a DNS name in lower case; it is %q", d.Domain)
	}
	c.validateDigitalOceanImages(m)
	oneOf(m, "digitalocean.ingress", d.Ingress, Ingresses)
	oneOf(m, "digitalocean.certificates", d.Certificates, CertificateSources)
	if d.Certificates != NoCertificates && d.Ingress == IngressNone {
		m.add("digitalocean.certificates", "must be none where ingress is none: the challenges need berth's own")
	}
	if d.Email != "" && !strings.Contains(d.Email, "@") {
		m.add("digitalocean.email", "must be an e-mail address; it is %q", d.Email)
	}
	for _, name := range []string{DigitalOceanAPIURL, SpacesEndpointURL} {
		if value := c.DotEnv[name]; value != "" {
			if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
				m.add("digitalocean", "%s in .env must be a URL that begins with https://", name)
			}
		}
	}
}

func (c *Config) validateDigitalOceanImages(m *mistakes) {
	d := c.DigitalOcean
	switch {
	case d.Registry == "" && d.ContainerRegistry == "" && c.Image == "":
		m.add("digitalocean.registry", "must say where built images go, like ghcr.io/me; or containerRegistry name one to make")
	case d.Registry != "" && d.ContainerRegistry != "":
		m.add("digitalocean.containerRegistry", "must be left out where there is a registry")
	case d.Registry != "" && !imageReference.MatchString(d.Registry):
		m.add("digitalocean.registry", "must be a registry with an optional path, like ghcr.io/me; it is %q", d.Registry)
	case d.ContainerRegistry != "" && !spaceName.MatchString(d.ContainerRegistry):
		m.add("digitalocean.containerRegistry", "must be 3 to 63 lower-case letters, digits and dashes; it is %q", d.ContainerRegistry)
	}
}

func oneOf(m *mistakes, at, value string, valid []string) {
	if !slices.Contains(valid, value) {
		m.add(at, "must be one of %s; it is %q", strings.Join(valid, ", "), value)
	}
}
