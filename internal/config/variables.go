package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

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

// OwnSecret is the entry of .env with a secret for one environment: in production,
// PRODUCTION_CONDUIT_SECRET overrides CONDUIT_SECRET.
func OwnSecret(environment, name string) string {
	return strings.ToUpper(strings.ReplaceAll(environment, "-", "_")) + "_" + name
}

// validateVariables looks at names of environment variables below a part of
// berth.yaml, "" or one that ends with a dot.
func (c *Config) validateVariables(m *mistakes, part string, env map[string]string, secrets []string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		at := part + "env." + name
		if !isVariable(name) {
			m.add(at, "must be the name of an environment variable")
		}
		if strings.Contains(env[name], "\x00") {
			m.add(at, "must not hold a NUL byte")
		}
	}
	checkNames(m, part+"secrets", secrets)
	for i, name := range secrets {
		if _, plain := env[name]; plain {
			m.add(fmt.Sprintf("%ssecrets[%d]", part, i), "%s is in env already", name)
		}
	}
}

func checkNames(m *mistakes, at string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case !isVariable(name):
			m.add(at, "must be the name of an environment variable; it is %q", name)
		case slices.Contains(names[:i], name):
			m.add(at, "%s is named twice", name)
		}
	}
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func isVariable(name string) bool { return variable.MatchString(name) }
