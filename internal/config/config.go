// Package config reads the operator's settings, berth.yaml and the secrets in .env,
// into one validated [Config]. Everything else takes its settings from here; no other
// package reads these files or the environment.
//
// [Load] is where to begin. A group of keys has a file with its type and its checks.
package config

import (
	"path/filepath"
	"slices"
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

// Providers are the providers that berth.yaml may name.
var Providers = []string{"local", "digitalocean", "existing"}

// BerthRelease names where a release of berth's own is taken from: a mirror, or
// another release by its digest. See package prebuilt.
const BerthRelease = "BERTH_RELEASE"

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
