// Package config reads what the operator wrote, berth.yaml for what may be
// seen and .env for what may not, into one validated [Config]. Everything else
// takes its settings from here; nothing else reads a file or the environment.
package config

// Config is berth.yaml with its defaults filled in.
type Config struct {
	// Name of the application: its Helm release, its image, a DNS label.
	Name string `json:"name"`
	// Provider supplies the cluster: "local", "existing" or "digitalocean".
	Provider string `json:"provider"`

	// Image is a built image to release. Empty means build Dockerfile.
	Image string `json:"image,omitempty"`
	// Dockerfile and Context are paths relative to berth.yaml's folder.
	Dockerfile string `json:"dockerfile,omitempty"`
	Context    string `json:"context,omitempty"`

	// Port is where the application listens for HTTP, in its container.
	Port int `json:"port"`
	// Health is the path that answers 200 when the application can serve.
	Health string `json:"health"`
	// Env is given to the application as it stands.
	Env map[string]string `json:"env,omitempty"`
	// Secrets names entries of .env that the application gets as environment.
	Secrets []string `json:"secrets,omitempty"`

	// Environments by name, usually staging and production.
	Environments map[string]Environment `json:"environments"`

	Local    Local    `json:"local"`
	Existing Existing `json:"existing"`

	// Dir is the absolute path of berth.yaml's folder.
	Dir string `json:"-"`
	// DotEnv holds .env overlaid by the process environment for the names
	// that berth.yaml and the providers know. Its values are secret.
	DotEnv map[string]string `json:"-"`
}

// Environment is one place where the application runs: a namespace of its name.
type Environment struct {
	Hosts    []string `json:"hosts"`
	Database Database `json:"database"`
	Replicas int      `json:"replicas"`
	// Values are laid over the chart's, last.
	Values map[string]any `json:"values,omitempty"`
}

// Database is what an environment stores its data in.
type Database string

// The databases. SQLite lives on a volume of its own that the pods of one node
// share; PostgreSQL is a StatefulSet that comes with the release.
const (
	NoDatabase Database = "none"
	SQLite     Database = "sqlite"
	Postgres   Database = "postgres"
)

// Local holds the settings of the provider on this machine.
type Local struct {
	// Nodes is how many nodes the cluster begins with.
	Nodes int `json:"nodes"`
	// Size is what a node offers to pods, as "s-2vcpu-4gb"; empty offers all
	// that the machine has.
	Size string `json:"size,omitempty"`
	// HTTP and HTTPS are the addresses that the ingress listens on.
	HTTP  string `json:"http"`
	HTTPS string `json:"https"`
	// Network is a private IPv4 /16 for nodes, pods and services.
	Network string `json:"network"`
}

// Existing holds the settings of the provider that takes a cluster as it is.
type Existing struct {
	// Kubeconfig and Context name the cluster. Both must be given: berth never
	// takes the caller's current context.
	Kubeconfig string `json:"kubeconfig,omitempty"`
	Context    string `json:"context,omitempty"`
	// Registry is where built images are pushed, as "ghcr.io/me".
	Registry string `json:"registry,omitempty"`
	// IngressClass of the cluster's ingress controller.
	IngressClass string `json:"ingressClass,omitempty"`
	// Issuer is a cert-manager ClusterIssuer for the hosts' certificates;
	// empty leaves TLS to whatever stands before the cluster.
	Issuer string `json:"issuer,omitempty"`
	// StorageClass for volumes; empty takes the cluster's default.
	StorageClass string `json:"storageClass,omitempty"`
	// Bucket is where backups and logs go.
	Bucket Bucket `json:"bucket"`
}

// Bucket names a bucket that exists already. Its keys are in .env
// (BUCKET_ACCESS_KEY, BUCKET_SECRET_KEY) or in .s3cfg.
type Bucket struct {
	Endpoint string `json:"endpoint,omitempty"`
	Region   string `json:"region,omitempty"`
	Name     string `json:"name,omitempty"`
}
