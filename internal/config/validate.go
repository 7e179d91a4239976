package config

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Validate reports every mistake in one error. [Load] has called it; who
// changes a field afterwards calls it again.
func (c *Config) Validate() error {
	m := &mistakes{lines: c.lines}
	c.validateApplication(m)
	for _, name := range c.EnvironmentNames() {
		c.validateEnvironment(m, name, c.Environments[name])
	}
	c.validateHosts(m)
	c.validatePreviews(m)
	c.validateLogs(m)
	c.validateLocal(m)
	switch c.Provider {
	case "digitalocean":
		c.validateDigitalOcean(m)
	case "existing":
		c.validateExisting(m)
	}
	return m.err()
}

func (c *Config) validateApplication(m *mistakes) {
	if problems := validation.IsDNS1035Label(c.Name); len(problems) > 0 {
		m.add("name", "must be a DNS label, lower-case letters, digits and dashes beginning with a letter; it is %q", c.Name)
	} else if len(c.Name) > maxName {
		m.add("name", "must have at most %d characters; it has %d", maxName, len(c.Name))
	}
	if !slices.Contains(Providers, c.Provider) {
		m.add("provider", "must be one of %s; it is %q", strings.Join(Providers, ", "), c.Provider)
	}
	c.validateImage(m)
	c.validateWeb(m)
	c.validateResources(m, "resources", c.Resources)
	c.validateUser(m)
	c.validatePaths(m)
	c.validateVariables(m, "", c.Env, c.Secrets)
	if m.has("release") {
		checkCommand(m, "release.command", c.Release.Command)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Processes)) {
		c.validateProcess(m, name, c.Processes[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		at := "services." + name
		c.validateObject(m, at, name)
		if _, taken := c.Processes[name]; taken {
			m.add(at, "is the name of a process already")
		}
		if !slices.Contains(ServiceKinds, c.Services[name]) {
			m.add(at, "must be %s, which clients of Redis speak to; it is %q", strings.Join(ServiceKinds, " or "), c.Services[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Images)) {
		if problem := NotAnImage(c.Images[name]); problem != "" {
			m.add("images."+name, "must be a reference like ghcr.io/me/backup:1.0: %s; it is %q", problem, c.Images[name])
		}
	}
	if len(c.Environments) == 0 {
		m.add("environments", "must hold at least one, usually staging and production")
	}
}
