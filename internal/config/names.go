package config

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// maxName leaves room for what the charts and Kubernetes append to the name
	// of the application, within the 63 characters of a DNS label.
	maxName = 40
	// maxObject is the longest name of a CronJob, which appends a time to it.
	maxObject = 52
)

// reserved are names of objects that the charts make for every application.
var reserved = []string{"web", "release", "postgresql", "env", "tls", "upstream", "backup"}

// validateObject looks at a name that objects of Kubernetes are called after,
// behind the application's.
func (c *Config) validateObject(m *mistakes, at, name string) {
	switch {
	case len(validation.IsDNS1035Label(name)) > 0:
		m.add(at, "the name must be a DNS label, lower-case letters, digits and dashes beginning with a letter")
	case slices.Contains(reserved, name):
		m.add(at, "the name is taken; %s are berth's own", strings.Join(reserved, ", "))
	case len(c.Name)+1+len(name) > maxObject:
		m.add(at, "the name must have at most %d characters; it has %d", maxObject-1-len(c.Name), len(name))
	}
}
