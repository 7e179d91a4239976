package scaffold

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"berth/internal/config"
)

// takeEnvironment takes a service's variables: values that may be seen into
// env, others into the application's secrets.
func (c *compose) takeEnvironment(s types.ServiceConfig, env map[string]string) {
	values := map[string]string{}
	var variables []config.Variable
	for _, name := range sorted(s.Environment) {
		if value := s.Environment[name]; value != nil {
			values[name], _, _ = c.substitute(*value)
		}
		variables = append(variables, config.Variable{Name: name, Value: values[name]})
	}
	addresses := newAddresses(c.stores, variables, true)
	for _, name := range sorted(s.Environment) {
		value := s.Environment[name]
		reference, leads := addresses.reference(name, values[name])
		switch {
		case !isVariable(name):
			c.note(c.file, "environment: %.60q is not a name of a variable", name)
		case leads:
			c.refer(name, reference)
		case strings.HasSuffix(name, "_FILE") && strings.HasPrefix(values[name], "/run/secrets/"):
			c.fromSecretFile(addresses, strings.TrimSuffix(name, "_FILE"))
		case value == nil:
			c.fromShell(name, name)
		default:
			c.takeValue(name, *value, env)
		}
	}
	for _, file := range s.EnvFiles {
		c.takeEnvFile(file.Path)
	}
}

func (c *compose) takeValue(name, raw string, env map[string]string) {
	if found := wholeReference.FindStringSubmatch(raw); found != nil {
		c.fromShell(name, found[1]+found[2])
		return
	}
	value, missing, err := c.substitute(raw)
	if err != nil {
		c.note(c.file, "environment: %s: %v", name, err)
		return
	}
	switch {
	case missing:
		c.addSecret(name)
		c.note(c.file, "environment: %s is made of other variables: write it whole into .env", name)
	case others.MatchString(name):
		c.takePort(name, value)
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
		c.noteHost(c.file, name, value)
		env[name] = value
	}
}

// wholeReference is a value that is nothing but a variable without a default.
var wholeReference = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::?\?[^}]*)?\})$`)

// substitute puts their defaults in the place of a value's variables, and reports
// whether one has none.
func (c *compose) substitute(raw string) (value string, missing bool, err error) {
	value, err = template.SubstituteWithOptions(raw, func(string) (string, bool) { return "", false }, template.WithoutLogging,
		template.WithReplacementFunction(func(text string, mapping template.Mapping, config *template.Config) (string, error) {
			value, applied, err := template.DefaultReplacementAppliedFunc(text, mapping, config)
			missing = missing || !applied && text != "$$"
			return value, err
		}))
	if required := new(template.MissingRequiredError); errors.As(err, &required) {
		missing, err = true, nil
	}
	return value, missing, err
}

// fromSecretFile takes a variable whose value Docker has in a file.
func (c *compose) fromSecretFile(addresses *addresses, name string) {
	if reference, leads := addresses.reference(name, ""); leads {
		c.refer(name, reference)
	} else if !others.MatchString(name) && isVariable(name) {
		c.addSecret(name)
	}
	c.note(c.file, "environment: %s_FILE names a file of Docker's secrets, which pods do not have: the application has to read %s", name, name)
}

// fromShell takes a variable whose value the owner's shell or .env has, there
// perhaps under another name.
func (c *compose) fromShell(name, source string) {
	switch {
	case others.MatchString(name) || c.Database != "" && name == "DATABASE_URL":
	case looksSecret(name, ""):
		c.addSecret(name)
	case ofShell[source]:
		c.note(c.file, "environment: %s tells of the developer's machine (%s) and is left out", name, source)
		return
	case name == source:
		c.pending = append(c.pending, name)
	default:
		c.addSecret(name)
	}
	if name != source && slices.Contains(c.Secrets, name) {
		c.note(c.file, "environment: %s comes from %s: in .env it must be named %s", name, source, name)
	}
}

// ofShell are variables that every shell has, of its user and folder.
var ofShell = map[string]bool{"PWD": true, "HOME": true, "USER": true, "LOGNAME": true, "UID": true, "GID": true, "SHELL": true, "HOSTNAME": true}

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
	addresses := newAddresses(c.stores, variables, false)
	var names []string
	for _, v := range variables {
		if reference, leads := addresses.reference(v.Name, v.Value); leads {
			c.refer(v.Name, reference)
			continue
		}
		c.takePort(v.Name, v.Value)
		if c.database(file, v.Name, v.Value) || others.MatchString(v.Name) || c.knows(v.Name) {
			continue
		}
		if hostList.MatchString(v.Name) {
			c.HostVariables = append(c.HostVariables, v.Name)
			continue
		}
		if forDevelopment(v.Name, v.Value) {
			c.note(file, "%s is for development and left out", v.Name)
			continue
		}
		names = append(names, v.Name)
		c.addSecret(v.Name)
	}
	if len(names) > 0 {
		c.note(c.file, "env_file %s: its values belong into .env (cat %s >> .env), those of these: %s", file, file, strings.Join(names, ", "))
	}
}
