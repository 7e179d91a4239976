package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ServiceKinds are the kinds of servers that an application can have for itself.
// The chart "service" knows how to run each.
var ServiceKinds = []string{"valkey"}

// validateOwnNames keeps the application from setting what the addresses of
// its database and services are made of. The addresses themselves it may set.
func (c *Config) validateOwnNames(m *mistakes, environment string) {
	owner := map[string]string{}
	if c.Environments[environment].Database == Postgres {
		owner[databasePassword] = "the database"
	}
	for service := range c.Services {
		owner[passwordVariable(service)] = "the service " + service
	}
	names := c.SecretsOf(environment)
	for _, all := range []map[string]string{c.EnvOf(environment), c.References} {
		names = slices.AppendSeq(names, maps.Keys(all))
	}
	for _, p := range c.Processes {
		names = slices.AppendSeq(names, maps.Keys(p.Env))
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if owner[name] != "" {
			m.add("environments."+environment, "%s is made by %s: give yours another name", name, owner[name])
		}
	}
}

// validateReferences checks that what the references name is there in every
// environment: Kubernetes would pass "$(NAME)" on as a text.
func (c *Config) validateReferences(m *mistakes, name, environment string) {
	at := "references." + name
	known := map[string]bool{}
	if c.HasWeb() {
		known["PORT"] = true
	}
	for variable := range c.Given(environment) {
		known[variable] = true
	}
	for variable := range c.EnvOf(environment) {
		known[variable] = true
	}
	for _, variable := range c.SecretsOf(environment) {
		known[variable] = true
	}
	if _, plain := c.EnvOf(environment)[name]; plain {
		m.add(at, "is in env already")
	}
	if found := shellReference.FindStringSubmatch(strings.ReplaceAll(c.References[name], "$$", "")); found != nil {
		m.add(at, "%q would stay as it is: a reference is written $(%s)", found[0], found[1]+found[2])
	}
	for _, variable := range referred(c.References[name]) {
		if _, made := c.References[variable]; made {
			m.add(at, "refers to %s, which is one of references itself: write what that one is made of", variable)
		} else if !known[variable] {
			m.add(at, "refers to %s, which %s has neither in env nor in secrets, nor from its database and services", variable, environment)
		}
	}
}

// kubeReference is what Kubernetes takes for one. Two dollars stand for one.
var kubeReference = regexp.MustCompile(`\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// shellReference is how shells and Compose write one.
var shellReference = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)

// referred returns the names that a value refers to.
func referred(value string) []string {
	var names []string
	for _, match := range kubeReference.FindAllStringSubmatch(value, -1) {
		if match[1] != "" {
			names = append(names, match[1])
		}
	}
	return names
}

// databaseURL is how an application learns of the database that berth gives it.
const databaseURL = "DATABASE_URL"

// databasePassword is a part of [databaseURL] with PostgreSQL.
const databasePassword = "POSTGRES_PASSWORD"

// databaseParts are the address of a PostgreSQL in parts, by libpq's names:
// https://www.postgresql.org/docs/current/libpq-envars.html
var databaseParts = []string{"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"}

// Given returns the variables of an environment that tell the addresses of the
// database and the services, with who gives each: "database" or "service NAME". What
// the application sets itself is among them.
func (c *Config) Given(environment string) map[string]string {
	given := map[string]string{}
	switch c.Environments[environment].Database {
	case Postgres:
		for _, name := range append([]string{databaseURL, databasePassword}, databaseParts...) {
			given[name] = "database"
		}
	case SQLite:
		given[databaseURL] = "database"
	}
	for service := range c.Services {
		given[passwordVariable(service)] = "service " + service
		for _, address := range c.ServiceVariables(service) {
			prefix := strings.TrimSuffix(address, "URL")
			for _, part := range []string{"URL", "HOST", "PORT", "PASSWORD"} {
				given[prefix+part] = "service " + service
			}
		}
	}
	return given
}

// serviceVariable is the variable that a client of the kind reads on its own.
var serviceVariable = map[string]string{"valkey": "REDIS_URL"}

// ServiceVariables returns the names of the variables that tell the address of
// a service: its own, as CACHE_URL of the service cache, and the one that
// clients of its kind read on their own, unless another service has it. Where
// several services are of one kind, that is the first in the alphabet.
func (c *Config) ServiceVariables(service string) []string {
	own := strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_URL"
	usual := serviceVariable[c.Services[service]]
	if own == usual {
		return []string{own}
	}
	for other, kind := range c.Services {
		if kind == c.Services[service] && other < service {
			return []string{own}
		}
	}
	return []string{own, usual}
}

// passwordVariable is the variable with a service's password, which is part of its URL.
func passwordVariable(service string) string {
	return strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_PASSWORD"
}
