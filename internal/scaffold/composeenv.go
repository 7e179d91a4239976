package scaffold

import (
	"errors"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

var (
	// wholeReference is a value that is nothing but a variable without a default.
	wholeReference = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?\?[^}]*)?\})$`)
	// databasePart is a variable with one part of a database's address.
	databasePart = regexp.MustCompile(`(?i)^(DB|DATABASE|POSTGRES|POSTGRESQL|PG|SQL)_?(HOST|HOSTNAME|SERVER|PORT|USER|USERNAME|PASS|PASSWORD|NAME|DB|DATABASE|ADAPTER|ENGINE)$|^PG(HOST|PORT|USER|PASSWORD|DATABASE)$`)
)

// takeEnvironment takes a service's variables: values that may be seen into
// env, others into the application's secrets.
func (c *compose) takeEnvironment(s types.ServiceConfig, env map[string]string) {
	var parts []string
	for _, name := range sorted(s.Environment) {
		value := s.Environment[name]
		switch {
		case !isVariable(name):
			c.note(c.file, "environment: %.60q is not a name of a variable", name)
		case c.databaseService() && databasePart.MatchString(name):
			parts = append(parts, name)
		case value == nil:
			c.fromShell(name, name)
		default:
			c.takeValue(name, *value, env)
		}
	}
	if len(parts) > 0 {
		c.note(c.file, "environment: %s: the application finds its database in DATABASE_URL alone", strings.Join(parts, ", "))
	}
	for _, file := range s.EnvFiles {
		c.takeEnvFile(file.Path)
	}
}

func (c *compose) databaseService() bool {
	for _, kind := range c.stores {
		if kind == "postgres" {
			return true
		}
	}
	return false
}

func (c *compose) takeValue(name, raw string, env map[string]string) {
	if found := wholeReference.FindStringSubmatch(raw); found != nil {
		c.fromShell(name, found[1]+found[2])
		return
	}
	missing := false
	value, err := template.SubstituteWithOptions(raw, func(string) (string, bool) { return "", false }, template.WithoutLogging,
		template.WithReplacementFunction(func(text string, mapping template.Mapping, config *template.Config) (string, error) {
			value, applied, err := template.DefaultReplacementAppliedFunc(text, mapping, config)
			missing = missing || !applied && text != "$$"
			return value, err
		}))
	if required := new(template.MissingRequiredError); errors.As(err, &required) {
		missing, err = true, nil
	}
	if err != nil {
		c.note(c.file, "environment: %s: %v", name, err)
		return
	}
	switch store, at := c.storeOf(value); {
	case store != "":
		c.refer(name, value, store, at)
	case missing:
		c.addSecret(name)
		c.note(c.file, "environment: %s is made of other variables: write it whole into .env", name)
	case others.MatchString(name):
	case looksSecret(name, value):
		c.addSecret(name)
	case hostList.MatchString(name):
		if !slices.Contains(c.HostVariables, name) {
			c.HostVariables = append(c.HostVariables, name)
		}
	case forDevelopment(name, value):
		c.note(c.file, "environment: %s=%s is for development and left out", name, value)
	case c.database(c.file, name, value):
	default:
		if host := hostOf(value); host != "" && hasKey(c.services, host) {
			c.note(c.file, "environment: %s names service %s, which is not there", name, host)
		}
		env[name] = value
	}
}

// fromShell takes a variable whose value the owner's shell or .env has, there
// perhaps under another name.
func (c *compose) fromShell(name, source string) {
	switch {
	case others.MatchString(name) || c.Database != "" && name == "DATABASE_URL":
	case looksSecret(name, ""):
		c.addSecret(name)
	case name == source:
		c.pending = append(c.pending, name)
	default:
		c.addSecret(name)
	}
	if name != source && slices.Contains(c.Secrets, name) {
		c.note(c.file, "environment: %s comes from %s: in .env it must be named %s", name, source, name)
	}
}

// storeOf returns the service of berth's own that a URL leads to, if one does.
func (c *compose) storeOf(value string) (store string, at *url.URL) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" {
		return "", nil
	}
	if hasKey(c.stores, u.Hostname()) {
		return u.Hostname(), u
	}
	return "", nil
}

func hostOf(value string) string {
	if u, err := url.Parse(value); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	host, _, _ := strings.Cut(value, ":")
	return host
}

// refer lets a variable hold the address of what berth runs.
func (c *compose) refer(name, value, store string, at *url.URL) {
	if c.stores[store] == "postgres" {
		driver, _, special := strings.Cut(at.Scheme, "+")
		switch {
		case name == "DATABASE_URL":
			if special {
				c.note(c.file, "environment: DATABASE_URL begins with postgresql:// here; a driver (%s) must be chosen in the application", at.Scheme)
			}
		case special || !strings.HasPrefix(driver, "postgres"):
			c.note(c.file, "environment: %s: the application finds its database in DATABASE_URL, which begins with postgresql://", name)
		default:
			c.References[name] = "$(DATABASE_URL)"
		}
		return
	}
	if database := strings.Trim(at.Path, "/"); database != "" && database != "0" {
		c.note(c.file, "environment: %s: database %s of %s becomes database 0", name, database, store)
	}
	if name != "REDIS_URL" {
		c.References[name] = "$(REDIS_URL)"
	}
}

// takeEnvFile takes the names of an env_file other than .env.
func (c *compose) takeEnvFile(file string) {
	if path.Clean(file) == ".env" {
		return
	}
	if path.IsAbs(file) || strings.HasPrefix(path.Clean(file), "..") {
		c.note(c.file, "env_file %s is outside of this folder: copy its entries into .env, and name them under secrets", file)
		return
	}
	name, text, err := c.source(file)
	if err != nil || name == "" {
		return
	}
	variables, _ := entries(string(text))
	var names []string
	for _, v := range variables {
		if c.database(file, v.Name, v.Value) || others.MatchString(v.Name) || c.knows(v.Name) ||
			c.databaseService() && databasePart.MatchString(v.Name) {
			continue
		}
		if store, _ := c.storeOf(v.Value); store != "" && c.stores[store] == "valkey" {
			c.References[v.Name] = "$(REDIS_URL)"
			continue
		}
		names = append(names, v.Name)
		c.addSecret(v.Name)
	}
	if len(names) > 0 {
		c.note(c.file, "env_file %s: copy into .env what the application needs of it: %s", file, strings.Join(names, ", "))
	}
}

// takePending says what no file had a value for.
func (d *Draft) takePending() error {
	if d.compose == nil {
		return nil
	}
	for _, name := range d.compose.pending {
		if !d.knows(name) {
			d.note(d.compose.file, "environment: %s has its value from the shell: give it one under env, or under secrets and in .env", name)
		}
	}
	return nil
}
