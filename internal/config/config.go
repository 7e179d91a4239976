// Package config reads the operator's settings, berth.yaml and the secrets in .env,
// into one validated [Config]. Everything else takes its settings from here; no other
// package reads these files or the environment.
package config

import (
	"path/filepath"
	"slices"
	"time"
)

// Config is berth.yaml with its defaults filled in.
type Config struct {
	// Name of the application: its Helm release, its image, a DNS label.
	Name string `yaml:"name"`
	// Provider supplies the cluster: one of [Providers].
	Provider string `yaml:"provider"`

	// Image is a built image to release. Empty means build Dockerfile.
	Image string `yaml:"image"`
	// Dockerfile and Context are paths relative to berth.yaml's folder.
	Dockerfile string `yaml:"dockerfile"`
	Context    string `yaml:"context"`
	// Build says more of how the image is built.
	Build Build `yaml:"build"`

	// Command of the process that answers requests; empty leaves the image's.
	Command Command `yaml:"command"`
	// Port is where that process listens for HTTP, in its container. 0 means
	// that there is none: the application only works.
	Port int `yaml:"port"`
	// Health is how to ask whether the application can serve.
	Health Health `yaml:"health"`
	// Resources of each pod.
	Resources Resources `yaml:"resources"`
	// User that the containers run as, "uid" or "uid:gid"; empty leaves the
	// image's.
	User string `yaml:"user"`
	// Writable are the paths that may be written to.
	Writable Writable `yaml:"writable"`

	// Env is given to every process, byte for byte.
	Env map[string]string `yaml:"env"`
	// References are variables made of others: $(NAME) stands for the value of
	// NAME, as in Kubernetes.
	References map[string]string `yaml:"references"`
	// Secrets names entries of .env that every process gets as environment.
	Secrets []string `yaml:"secrets"`

	// Release runs before the pods of a new revision.
	Release Release `yaml:"release"`
	// Judge is how long the answers of a new revision are looked at; see
	// [Config.JudgeOf].
	Judge Judge `yaml:"judge"`
	// Processes are the workers and cron jobs, by name.
	Processes map[string]Process `yaml:"processes"`
	// Volumes for files, by name.
	Volumes map[string]Volume `yaml:"volumes"`
	// Services are servers of the application's own: the kind, one of
	// [ServiceKinds], by name.
	Services map[string]string `yaml:"services"`

	// Logs says where log lines go.
	Logs Logs `yaml:"logs"`
	// Metrics is how long metrics are kept.
	Metrics Metrics `yaml:"metrics"`
	// Images are those of the platform that are built already, by their folder
	// in images/: "backup". Those that are not named are built from source.
	Images map[string]string `yaml:"images"`

	// Environments by name, usually staging and production.
	Environments map[string]Environment `yaml:"environments"`

	// Previews are environments of branches.
	Previews Previews `yaml:"previews"`

	Local        Local        `yaml:"local"`
	DigitalOcean DigitalOcean `yaml:"digitalocean"`
	Existing     Existing     `yaml:"existing"`

	// Dir is the absolute path of berth.yaml's folder.
	Dir string `yaml:"-"`
	// StateDir is the absolute path of the folder where berth keeps what must
	// outlive a command. It is shared by all applications of this user.
	StateDir string `yaml:"-"`
	// DotEnv holds .env overlaid by the process environment for the names
	// that berth.yaml and the providers know. Its values are secret.
	DotEnv map[string]string `yaml:"-"`

	// preview says that it is that of a preview; see [Config.Preview].
	preview bool
	// order holds the environments' names as they stand in berth.yaml, and
	// lines the line of every key, for messages.
	order []string
	lines map[string]int
	// zeros are the paths of numbers that berth.yaml says are 0.
	zeros map[string]bool
}

// BerthRelease names where a release of berth's own is taken from: a mirror, or
// another release by its digest. See package prebuilt.
const BerthRelease = "BERTH_RELEASE"

// Environment is one place where the application runs: a namespace of its name.
type Environment struct {
	Hosts    []string `yaml:"hosts"`
	Database Database `yaml:"database"`
	// DatabaseVersion is the major version of PostgreSQL.
	DatabaseVersion int `yaml:"databaseVersion"`
	Replicas        int `yaml:"replicas"`
	// Env is laid over the application's.
	Env map[string]string `yaml:"env"`
	// Secrets come on top of the application's.
	Secrets []string `yaml:"secrets"`
	// Processes are the replicas of workers that are others here, by name.
	Processes map[string]int `yaml:"processes"`
	// UpstreamTLS has the ingress controller speak HTTPS with the application,
	// which must serve it with the files that TLS_CERT_FILE and TLS_KEY_FILE
	// name.
	UpstreamTLS bool `yaml:"upstreamTLS"`
	// Backup says when its database is backed up.
	Backup Backup `yaml:"backup"`
	// Rehearse has every deploy tried first on a copy of the environment, made of its
	// newest backup.
	Rehearse bool `yaml:"rehearse"`
	// Judge goes before the application's.
	Judge Judge `yaml:"judge"`
	// Values are laid over the chart's, last.
	Values map[string]any `yaml:"values"`
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

// PostgresVersion is the major version of PostgreSQL where none is named.
const PostgresVersion = 17

// Local holds the settings of the provider on this machine.
type Local struct {
	// Nodes is how many nodes the cluster begins with.
	Nodes int `yaml:"nodes"`
	// Size is what a node offers to pods, as "s-2vcpu-4gb"; empty offers all
	// that the machine has.
	Size string `yaml:"size"`
	// HTTP and HTTPS are the addresses that the ingress listens on.
	HTTP  string `yaml:"http"`
	HTTPS string `yaml:"https"`
	// Network is a private IPv4 /16 for nodes, pods and services.
	Network string `yaml:"network"`
}

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

// Providers are the providers that berth.yaml may name.
var Providers = []string{"local", "digitalocean", "existing"}

// EnvironmentNames returns the environments in the order of berth.yaml, in which
// they are deployed.
func (c *Config) EnvironmentNames() []string {
	if len(c.order) == len(c.Environments) {
		return slices.Clone(c.order)
	}
	var names []string
	for name := range c.Environments {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Only returns the configuration with one of its environments and no other.
func (c *Config) Only(environment string) *Config {
	one := *c
	one.Environments = map[string]Environment{environment: c.Environments[environment]}
	one.order = []string{environment}
	return &one
}

// Path returns a path of berth.yaml, which is relative to its folder, as an
// absolute one.
func (c *Config) Path(relative string) string {
	if filepath.IsAbs(relative) {
		return relative
	}
	return filepath.Join(c.Dir, relative)
}

// setDefaults fills in what berth.yaml left out.
func (c *Config) setDefaults() {
	fill(&c.Provider, "local")
	fill(&c.Context, ".")
	if !c.onlyWorks() {
		fill(&c.Health.Path, "/")
		fill(&c.Health.Timeout, Duration(3*time.Second))
	}
	if len(c.Release.Command) > 0 {
		fill(&c.Release.Timeout, Duration(10*time.Minute))
	}
	for name, p := range c.Processes {
		if p.Scheduled() {
			fill(&p.TimeZone, "Etc/UTC")
			fill(&p.Deadline, Duration(24*time.Hour))
			p.Replicas = 0
		}
		c.Processes[name] = p
	}
	for name, v := range c.Volumes {
		fill(&v.Size, "1Gi")
		c.Volumes[name] = v
	}
	fill(&c.Local.HTTP, "127.0.0.1:8080")
	fill(&c.Local.HTTPS, "127.0.0.1:8443")
	fill(&c.Local.Network, "10.118.0.0/16")
	c.fillNumber("local.nodes", &c.Local.Nodes, 1)
	fill(&c.Existing.IngressClass, "nginx")
	c.fillNumber("digitalocean.nodes", &c.DigitalOcean.Nodes, 2)
	c.DigitalOcean.setDefaults(c.Name)
	for name, e := range c.Environments {
		fill(&e.Database, NoDatabase)
		if e.Database == Postgres {
			c.fillNumber("environments."+name+".databaseVersion", &e.DatabaseVersion, PostgresVersion)
		}
		if !c.onlyWorks() {
			c.fillNumber("environments."+name+".replicas", &e.Replicas, 1)
		}
		e.Backup.setDefaults(e.Database)
		c.Environments[name] = e
	}
	c.Previews.setDefaults(c)
}

// fillNumber fills in a number unless berth.yaml says that it is 0, which is a mistake
// and not the default.
func (c *Config) fillNumber(path string, field *int, value int) {
	if !c.zeros[path] {
		fill(field, value)
	}
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
