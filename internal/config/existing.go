package config

import "strings"

// Existing holds the settings of the provider that takes a cluster as it is.
type Existing struct {
	// Kubeconfig and Context name the cluster. Both must be given: berth never
	// takes the caller's current context. [Load] makes the path absolute.
	Kubeconfig string `yaml:"kubeconfig"`
	Context    string `yaml:"context"`
	// Registry is where built images are pushed, as "ghcr.io/me".
	Registry string `yaml:"registry"`
	// IngressClass of the cluster's ingress controller.
	IngressClass string `yaml:"ingressClass"`
	// Issuer is a cert-manager ClusterIssuer for the hosts' certificates;
	// empty leaves TLS to whatever stands before the cluster.
	Issuer string `yaml:"issuer"`
	// StorageClass for volumes; empty takes the cluster's default.
	StorageClass string `yaml:"storageClass"`
	// Bucket is where backups and logs go.
	Bucket Bucket `yaml:"bucket"`
}

// Bucket names a bucket that exists already. Its keys are in .env
// (BUCKET_ACCESS_KEY, BUCKET_SECRET_KEY) or in .s3cfg.
type Bucket struct {
	Endpoint string `yaml:"endpoint"`
	Region   string `yaml:"region"`
	Name     string `yaml:"name"`
}

// The names of the bucket's keys in .env, and of those that may only write logs into
// it.
const (
	BucketAccessKey     = "BUCKET_ACCESS_KEY"
	BucketSecretKey     = "BUCKET_SECRET_KEY"
	LogsBucketAccessKey = "LOGS_BUCKET_ACCESS_KEY"
	LogsBucketSecretKey = "LOGS_BUCKET_SECRET_KEY"
)

func (c *Config) validateExisting(m *mistakes) {
	e := c.Existing
	if e.Kubeconfig == "" {
		m.add("existing.kubeconfig", "must name the kubeconfig file of the cluster")
	}
	if e.Context == "" {
		m.add("existing.context", "must name a context of the kubeconfig: berth never takes the current one")
	}
	switch {
	case e.Registry == "" && c.Image == "":
		m.add("existing.registry", "must say where built images go, like ghcr.io/me")
	case e.Registry != "" && !imageReference.MatchString(e.Registry):
		m.add("existing.registry", "must be a registry with an optional path, like ghcr.io/me; it is %q", e.Registry)
	}
	if (e.Bucket.Name == "") != (e.Bucket.Endpoint == "") {
		m.add("existing.bucket", "must have both a name and an endpoint, or neither")
	}
	if strings.Contains(e.Bucket.Endpoint, "/") && !strings.HasPrefix(e.Bucket.Endpoint, "https://") && !strings.HasPrefix(e.Bucket.Endpoint, "http://") {
		m.add("existing.bucket.endpoint", "must be a host, or a URL that begins with https:// or http://; it is %q", e.Bucket.Endpoint)
	}
}
