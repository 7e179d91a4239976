package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"k8s.io/apimachinery/pkg/util/validation"
)

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

func (c *Config) validateEnvironment(m *mistakes, name string, e Environment) {
	at := "environments." + name
	switch {
	case len(validation.IsDNS1123Label(name)) > 0:
		m.add(at, "the name must be a DNS label, lower-case letters, digits and dashes")
	case name == "ingress" || name == "logging" || name == "cert-manager" || name == "watch" || name == "metrics" || name == "default" || strings.HasPrefix(name, "kube-"):
		m.add(at, "the name is that of a namespace which is not the application's")
	}
	c.validateHosting(m, at, e)
	switch e.Database {
	case NoDatabase, SQLite, Postgres:
	default:
		m.add(at+".database", "must be none, sqlite or postgres; it is %q", string(e.Database))
	}
	switch {
	case e.Database != Postgres && e.DatabaseVersion != 0:
		m.add(at+".databaseVersion", "is for the database %s; this one is %q", Postgres, string(e.Database))
	case e.Database == Postgres && (e.DatabaseVersion < 13 || e.DatabaseVersion > 99):
		m.add(at+".databaseVersion", "must be a major version of PostgreSQL like %d; it is %d", PostgresVersion, e.DatabaseVersion)
	}
	c.validateBackup(m, at+".backup", e)
	c.validateVariables(m, at+".", e.Env, e.Secrets)
	for _, process := range slices.Sorted(maps.Keys(e.Processes)) {
		at := at + ".processes." + process
		switch p, known := c.Processes[process]; {
		case !known:
			m.add(at, "there is no such process; %s", suggest(process, slices.Sorted(maps.Keys(c.Processes))))
		case p.Scheduled():
			m.add(at, "is a cron job, which runs one at a time")
		case e.Processes[process] < 0:
			m.add(at, "must be 0 or more; it is %d", e.Processes[process])
		}
	}
	c.validateOwnNames(m, name)
	for _, reference := range slices.Sorted(maps.Keys(c.References)) {
		c.validateReferences(m, reference, name)
	}
}

// validateHosting looks at what an environment says of the process that
// answers requests.
func (c *Config) validateHosting(m *mistakes, at string, e Environment) {
	if c.onlyWorks() {
		for _, key := range []string{"hosts", "replicas", "upstreamTLS", "judge"} {
			if m.has(at + "." + key) {
				m.add(at+"."+key, "is of the process that answers requests: give its port at the top, or leave this out")
			}
		}
		return
	}
	if len(e.Hosts) == 0 {
		m.add(at+".hosts", "must hold at least one host")
	}
	switch {
	case e.Replicas < 1:
		m.add(at+".replicas", "must be 1 or more; it is %d", e.Replicas)
	case e.Replicas > 1 && e.Database == SQLite:
		m.add(at+".replicas", "must be 1 with sqlite, whose file takes one writer; it is %d", e.Replicas)
	}
}

// validateHosts looks at all environments at once: two of them cannot answer
// for one host.
func (c *Config) validateHosts(m *mistakes) {
	owner := map[string]string{}
	for _, name := range c.EnvironmentNames() {
		for i, host := range c.Environments[name].Hosts {
			at := fmt.Sprintf("environments.%s.hosts[%d]", name, i)
			if c.Provider == "digitalocean" && c.DigitalOcean.Certificates != NoCertificates && strings.HasPrefix(host, "*") {
				m.add(at, "must be one name where digitalocean.certificates is %s, whose challenges are for one name each; it is %q", c.DigitalOcean.Certificates, host)
			}
			if problem := notAHost(host); problem != "" {
				m.add(at, "%s; it is %q", problem, host)
			} else if first, taken := owner[host]; taken {
				m.add(at, "%s is a host of %s already", host, first)
			} else {
				owner[host] = name
			}
		}
	}
}

// notAHost says what a host must be that an Ingress does not take; "" where it does.
func notAHost(host string) string {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil && ascii != strings.ToLower(host) {
		return "must be a DNS name in ASCII, which is " + ascii
	}
	valid := len(validation.IsDNS1123Subdomain(host)) == 0
	if strings.HasPrefix(host, "*") {
		valid = len(validation.IsWildcardDNS1123Subdomain(host)) == 0
	}
	_, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		return "must be a DNS name, not an address"
	case strings.ContainsAny(host, ":/"):
		return "must be a name alone, without scheme, port and path"
	case !valid:
		return "must be a DNS name in lower case, or all names below one like *.shop.example"
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) > validation.DNS1123LabelMaxLength {
			return "must have at most 63 characters between two dots"
		}
	}
	return ""
}
