package config

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// HasWeb reports whether there is a process that answers requests.
func (c *Config) HasWeb() bool { return c.Port != 0 }

// onlyWorks reports whether the application does without such a process. One
// without any process has forgotten its port.
func (c *Config) onlyWorks() bool {
	_, written := c.lines["port"]
	return !c.HasWeb() && !written && len(c.Processes) > 0
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

// validateWeb looks at the process that answers requests, or at what is left
// of it where there is none.
func (c *Config) validateWeb(m *mistakes) {
	if c.onlyWorks() {
		for _, key := range []string{"command", "health", "judge"} {
			if m.has(key) {
				m.add(key, "is of the process that answers requests: give its port too, or leave out both")
			}
		}
		return
	}
	if c.Port < 1 || c.Port > 65535 {
		m.add("port", "must be 1 to 65535; it is %d", c.Port)
	}
	if m.has("command") {
		checkCommand(m, "command", c.Command)
	}
	h := c.Health
	at := "health"
	if m.has("health.path") {
		at = "health.path"
	}
	switch {
	case strings.Contains(h.Path, "://"):
		m.add(at, "must be the path alone, like /up; it is %q", h.Path)
	case strings.ContainsAny(h.Path, "?#"):
		m.add(at, "must be a path without a query; it is %q", h.Path)
	case !strings.HasPrefix(h.Path, "/") || strings.ContainsAny(h.Path, " \"\\"):
		m.add(at, "must be a path that begins with /; it is %q", h.Path)
	}
	if h.Host != "" && len(validation.IsDNS1123Subdomain(h.Host)) > 0 {
		m.add("health.host", "must be a DNS name in lower case; it is %q", h.Host)
	}
	if time.Duration(h.Timeout) > time.Minute {
		m.add("health.timeout", "must be at most 1m; it is %s", h.Timeout)
	}
	if m.has("health.status") && (h.Status < 200 || h.Status > 599) {
		m.add("health.status", "must be 200 to 599; it is %d", h.Status)
	}
}
