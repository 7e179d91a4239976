package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"berth/internal/fault"
)

// Build says how the image is made from its Dockerfile.
type Build struct {
	// Args are the values of the Dockerfile's ARGs.
	Args map[string]string `yaml:"args"`
	// Secrets names entries of .env that RUN --mount=type=secret,id=NAME finds.
	// They are in no layer of the image.
	Secrets []string `yaml:"secrets"`
	// Target is the stage to build; empty builds the last one.
	Target string `yaml:"target"`
	// Platform as "linux/amd64"; empty builds for the builder's own.
	Platform string `yaml:"platform"`
}

// Command replaces the ENTRYPOINT and CMD of a container's image. A list is run as
// it is. A string is run by a shell, which the image must have.
type Command []string

// UnmarshalYAML makes a shell's command of a text.
func (c *Command) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*c = Command{"/bin/sh", "-c", node.Value}
		return nil
	}
	return node.Decode((*[]string)(c))
}

func (Command) scalar(node *yaml.Node) string {
	if node.Tag == "!!str" {
		return ""
	}
	return `a list like ["gunicorn", "app:app"], or a text that a shell runs`
}

// Health is the request that asks whether the application can serve.
type Health struct {
	// Path of the request. A text in the place of the mapping is the path.
	Path string `yaml:"path"`
	// Host is the request's Host header; empty sends the environment's first
	// host: see [Config.HealthHost].
	Host string `yaml:"host"`
	// Timeout is how long the answer may take.
	Timeout Duration `yaml:"timeout"`
	// Status is the answer's status; 0 stands for 200 to 399. Kubernetes counts
	// no other status as healthy: with one above, the probes of a pod look only
	// whether the port is open.
	Status int `yaml:"status"`
}

// UnmarshalYAML makes a path of a text.
func (h *Health) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*h = Health{Path: node.Value}
		return nil
	}
	type plain Health
	return node.Decode((*plain)(h))
}

func (Health) scalar(node *yaml.Node) string {
	if node.Tag == "!!str" {
		return ""
	}
	return "a path like /healthz, or a mapping with path, host, timeout and status"
}

// ByHTTP reports whether a pod's probes can be HTTP requests.
func (h Health) ByHTTP() bool { return h.Status < 400 }

// Accepts reports whether an answer's status says that the application serves.
func (h Health) Accepts(status int) bool {
	if h.Status == 0 {
		return status >= 200 && status < 400
	}
	return status == h.Status
}

// Resources are what each pod is given, as Kubernetes' quantities. Empty ones
// take the chart's.
type Resources struct {
	// CPU is requested, not limited: an idle node's CPU is there for all.
	CPU string `yaml:"cpu"`
	// Memory is both requested and the limit.
	Memory string `yaml:"memory"`
}

// Writable are the paths that the application may write to besides its
// volumes. Without any, the root file system is writable, as in Docker. With
// some, the root file system is read-only and each path is a scratch volume
// of the pod; [Root] makes all of it writable.
type Writable []string

// Root is the path of the whole file system.
const Root = "/"

// UnmarshalYAML reads true as the whole file system, and false as nothing.
func (w *Writable) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		*w = Writable{}
		return node.Decode((*[]string)(w))
	}
	var all bool
	if err := node.Decode(&all); err != nil {
		return err
	}
	*w = Writable{}
	if all {
		*w = Writable{Root}
	}
	return nil
}

func (Writable) scalar(node *yaml.Node) string {
	if node.Tag == "!!bool" {
		return ""
	}
	return "a list of paths, or true or false"
}

// All reports whether the whole root file system is writable.
func (w Writable) All() bool { return w == nil || slices.Contains(w, Root) }

// Release is the command that runs once for each new revision, before any of its
// pods.
type Release struct {
	Command Command `yaml:"command"`
	// Timeout is how long it may take.
	Timeout Duration `yaml:"timeout"`
}

// Process is a part of the application that serves no requests: a worker, or a
// cron job when it has a schedule.
type Process struct {
	Command Command `yaml:"command"`
	// Replicas of a worker. [Config.ReplicasOf] knows those of an environment.
	Replicas int `yaml:"replicas"`
	// Schedule is a cron expression of five fields; empty for a worker.
	Schedule string `yaml:"schedule"`
	// TimeZone of the schedule, as "Europe/Berlin".
	TimeZone string `yaml:"timeZone"`
	// Deadline is how long one run of a cron job may take.
	Deadline Duration `yaml:"deadline"`
	// Resources go before the application's.
	Resources Resources `yaml:"resources"`
	// Env is laid over the environment's.
	Env map[string]string `yaml:"env"`
}

// UnmarshalYAML tells no replicas from none said.
func (p *Process) UnmarshalYAML(node *yaml.Node) error {
	type plain Process
	*p = Process{Replicas: 1}
	return node.Decode((*plain)(p))
}

// Scheduled reports whether the process is a cron job.
func (p Process) Scheduled() bool { return p.Schedule != "" }

// Volume is a folder whose files outlive the pods. All pods of an environment
// share it.
type Volume struct {
	// Path where the application finds it.
	Path string `yaml:"path"`
	// Size as a quantity of Kubernetes', like 5Gi.
	Size string `yaml:"size"`
}

// Duration is a time in whole seconds, written as 90s, 10m or 1h30m.
type Duration time.Duration

var _ encoding.TextUnmarshaler = (*Duration)(nil)

// UnmarshalText reads what [time.ParseDuration] reads, if it is at least a
// second.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < time.Second || parsed%time.Second != 0 {
		return errors.New("must be a duration in whole seconds like 90s, 10m or 1h30m")
	}
	*d = Duration(parsed)
	return nil
}

// UnmarshalJSON reads the number of nanoseconds that a Duration is in JSON.
func (d *Duration) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, (*time.Duration)(d))
}

// Seconds is what Kubernetes counts in.
func (d Duration) Seconds() int { return int(time.Duration(d) / time.Second) }

func (d Duration) String() string { return time.Duration(d).String() }

// Judge is how long the answers of a new revision are judged after it serves; 0 if
// berth.yaml does not say, and negative for never.
type Judge time.Duration

// How long a judging takes: less sees too little, more nobody waits for.
const (
	shortestJudge = 10 * time.Second
	longestJudge  = 10 * time.Minute
)

// UnmarshalText reads a duration, or "never".
func (j *Judge) UnmarshalText(text []byte) error {
	if string(text) == "never" {
		*j = -1
		return nil
	}
	var d Duration
	if err := d.UnmarshalText(text); err != nil || time.Duration(d) < shortestJudge || time.Duration(d) > longestJudge {
		return fmt.Errorf("must be a duration from %s to %s like 60s, or never", Duration(shortestJudge), Duration(longestJudge))
	}
	*j = Judge(d)
	return nil
}

// UnmarshalJSON reads the number of nanoseconds that a Judge is in JSON.
func (j *Judge) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, (*time.Duration)(j))
}

// JudgeOf returns how long the answers of an environment's new revision are judged;
// 0 for not at all.
func (c *Config) JudgeOf(environment string) time.Duration {
	own := c.Environments[environment].Judge
	if own == 0 {
		own = c.Judge
	}
	return max(0, time.Duration(own))
}

// HasWeb reports whether there is a process that answers requests.
func (c *Config) HasWeb() bool { return c.Port != 0 }

// onlyWorks reports whether the application does without such a process. One
// without any process has forgotten its port.
func (c *Config) onlyWorks() bool {
	_, written := c.lines["port"]
	return !c.HasWeb() && !written && len(c.Processes) > 0
}

// EnvOf returns the plain variables of an environment: its own laid over the
// application's.
func (c *Config) EnvOf(environment string) map[string]string {
	e := c.Environments[environment]
	env := map[string]string{}
	maps.Copy(env, c.Env)
	for _, name := range e.Secrets {
		delete(env, name)
	}
	maps.Copy(env, e.Env)
	return env
}

// SecretsOf returns the names of an environment's secrets, sorted: the
// application's and its own, without those that the environment has in env.
func (c *Config) SecretsOf(environment string) []string {
	e := c.Environments[environment]
	names := slices.Concat(c.Secrets, e.Secrets)
	names = slices.DeleteFunc(names, func(name string) bool {
		_, plain := e.Env[name]
		return plain
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// ReplicasOf returns how many pods of a process there are in an environment.
func (c *Config) ReplicasOf(environment, process string) int {
	if own, ok := c.Environments[environment].Processes[process]; ok {
		return own
	}
	return c.Processes[process].Replicas
}

// HealthHost returns the Host header of the requests that ask for the health
// of an environment's pods; empty where it has no host. Frameworks that check
// the header, as Django does, know the environment's hosts.
func (c *Config) HealthHost(environment string) string {
	if c.Health.Host != "" {
		return c.Health.Host
	}
	for _, host := range c.Environments[environment].Hosts {
		return HostBelow(host)
	}
	return ""
}

// HostBelow returns a name for a host of berth.yaml: the host itself, or a name
// below a wildcard.
func HostBelow(host string) string {
	if rest, wildcard := strings.CutPrefix(host, "*."); wildcard {
		return "www." + rest
	}
	return host
}

// BuildSecrets returns the secrets of the build with their values of .env.
func (c *Config) BuildSecrets() (map[string]string, error) {
	values := map[string]string{}
	var missing []string
	for _, name := range c.Build.Secrets {
		value, ok := c.DotEnv[name]
		if !ok {
			missing = append(missing, name)
		}
		values[name] = value
	}
	if len(missing) > 0 {
		return nil, fault.WithHint(
			fmt.Errorf("no value for the secret %s of the build", strings.Join(missing, ", ")),
			"add it to .env: %s=…", missing[0])
	}
	return values, nil
}
