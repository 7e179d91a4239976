package scaffold

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"berth/internal/config"
)

var (
	variable  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	entryName = regexp.MustCompile(`(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=`)

	// secretName is what the names of secrets have in them.
	secretName = regexp.MustCompile(`(?i)(^|_)(SECRETS?|TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|PASS|PWD|KEYS?|APIKEY|CREDENTIALS?|PRIVATE|DSN|SALT|PEPPER|SIGNATURE|AUTH|CERT|WEBHOOK|JWT)(_|$)|SECRET|PASSWORD|TOKEN$`)
	// publicName is what those have that only look like it.
	publicName = regexp.MustCompile(`(?i)^(NEXT_PUBLIC|VITE|REACT_APP|PUBLIC|NUXT_PUBLIC)_|PUBLIC_KEY|PUBLISHABLE|KEY_ID$|(^|_)(KEY|TOKEN|PASSWORD|SECRET|CERT)_(FILE|PATH|DIR|NAME|PREFIX|LENGTH|TTL|EXPIRES?|EXPIRY|LIFETIME|ALGORITHM|TIMEOUT|AGE)$|_PASSWORD_(RESET|MIN|MAX).*|^AUTH_(URL|MODE|TYPE)$`)
	// randomValue is what a key looks like.
	randomValue = regexp.MustCompile(`^([0-9a-fA-F]{32,}|[A-Za-z0-9+/_-]{40,}={0,2})$|-----BEGIN `)
)

func isVariable(name string) bool { return variable.MatchString(name) }

// looksSecret reports whether a variable belongs in .env. Where in doubt, it
// does: there it works as well.
func looksSecret(name, value string) bool {
	if publicName.MatchString(name) {
		return false
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		return true
	}
	return secretName.MatchString(name) || randomValue.MatchString(value)
}

// others are variables that are not the application's: berth sets them, or
// they are settings of berth, of Docker or of the database's own container.
var others = regexp.MustCompile(`^(PORT|COMPOSE_.*|DOCKER_.*|(LOGS_)?BUCKET_(ACCESS|SECRET)_KEY|BACKUP_(WEBHOOK_URL|AGE_IDENTITY)|LOGS_(ENDPOINT|SOURCE_ID|API_KEY)|DIGITALOCEAN_(TOKEN|API_URL)|SPACES_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|ENDPOINT_URL)|POSTGRES_(USER|PASSWORD|DB|INITDB_ARGS|HOST_AUTH_METHOD)|MYSQL_.*|PGDATA)$`)

// samples are the names of a sample of .env.
var samples = []string{".env.sample", ".env.example", ".env.template", ".env.dist", ".env.production.example", "env.example", "env.sample", "example.env", "sample.env"}

// readDotEnv takes the names of .env and of its sample. What the sample has is
// public, so that its values may go into berth.yaml; those of .env may not.
func (d *Draft) readDotEnv() error {
	sample, text, err := d.source(samples...)
	if err != nil {
		return err
	}
	examples, _ := entries(string(text))
	own, text, err := d.source(".env")
	if err != nil {
		return err
	}
	secrets, problem := entries(string(text))
	if problem != nil {
		d.note(own, "%v; berth refuses the file until that is corrected", problem)
	}
	if info, err := os.Stat(filepath.Join(d.dir, ".env")); err == nil && info.Mode().Perm()&0o077 != 0 {
		d.note(own, "others than its owner can reach it: chmod 600 .env")
	}
	for _, v := range secrets {
		d.fromEnv = append(d.fromEnv, v.Name)
	}
	if len(d.Sources) == 0 {
		return nil // they alone describe no application
	}
	examples = expanded(examples)
	addresses := newAddresses(d.stores(examples), examples, true)
	for _, v := range examples {
		if reference, leads := addresses.reference(v.Name, v.Value); leads {
			d.refer(v.Name, reference)
		} else {
			d.takeVariable(sample, v.Name, v.Value)
		}
	}
	addresses = newAddresses(d.stores(secrets), secrets, false)
	var plain, made []string
	for _, v := range secrets {
		if reference, leads := addresses.reference(v.Name, v.Value); leads {
			d.refer(v.Name, reference)
			continue
		}
		d.takePort(v.Name, v.Value)
		if d.database(own, v.Name, v.Value) || others.MatchString(v.Name) || d.knows(v.Name) && !slices.Contains(d.Secrets, v.Name) || slices.Contains(d.BuildSecrets, v.Name) {
			continue
		}
		if len(referred(v.Value, secrets)) > 0 {
			made = append(made, v.Name)
		}
		if slices.Contains(d.Secrets, v.Name) {
			continue
		}
		if hostList.MatchString(v.Name) {
			d.HostVariables = append(d.HostVariables, v.Name)
			continue
		}
		// Whatever it is, the value of .env is what works now.
		d.addSecret(v.Name)
		if !looksSecret(v.Name, "") {
			plain = append(plain, v.Name)
		}
	}
	if len(plain) > 0 {
		d.note(own, "under secrets, so that their values stay in .env; move to env what is no secret: %s", strings.Join(plain, ", "))
	}
	if len(made) > 0 {
		d.note(own, "berth takes values as they stand, so write out what these are made of: %s", strings.Join(made, ", "))
	}
	if len(examples) > 0 {
		d.Sources = append(d.Sources, sample)
	}
	if len(secrets) > 0 {
		d.Sources = append(d.Sources, own)
	}
	return nil
}

// stores are the servers that variables may name, by their names: those of
// compose.yaml, or those on the developer's own machine.
func (d *Draft) stores(variables []config.Variable) map[string]string {
	if d.compose != nil {
		return d.compose.stores
	}
	stores := map[string]string{}
	for _, v := range variables {
		u, err := url.Parse(v.Value)
		server := ""
		if err == nil && u.Host != "" {
			server = u.Hostname()
		}
		scheme, _, _ := strings.Cut(strings.Split(v.Value, ":")[0], "+")
		switch {
		case kinds[scheme] == "valkey" && mostlyLocal(server), redisHost.MatchString(v.Name) && mostlyLocal(v.Value):
			stores[d.addService("cache")] = "valkey"
			for _, name := range []string{"redis", "valkey"} {
				stores[name] = "valkey"
			}
		case engineName.MatchString(v.Name) && postgresEngine.MatchString(v.Value), kinds[scheme] == "postgres" && mostlyLocal(server),
			strings.HasSuffix(v.Name, "PORT") && v.Value == "5432":
			fill(&d.Database, "postgres")
		}
	}
	if len(d.Services) > 0 && len(stores) == 0 {
		stores["redis"] = "valkey"
	}
	if d.Database == "postgres" {
		for _, name := range []string{"postgres", "postgresql", "db", "database"} {
			stores[name] = "postgres"
		}
	}
	return stores
}

var (
	redisHost      = regexp.MustCompile(`(^|_)(REDIS|VALKEY)_(HOST|HOSTNAME|SERVER)$`)
	engineName     = regexp.MustCompile(`(CONNECTION|ENGINE|DIALECT|CLIENT|DRIVER|ADAPTER|BACKEND|TYPE)$`)
	postgresEngine = regexp.MustCompile(`^(pgsql|pg|postgres|postgresql|postgis|django\.db\.backends\.postgresql)$`)
)

// mostlyLocal reports whether a host is the developer's own machine, or a container's
// usual name.
func mostlyLocal(host string) bool {
	host, _, _ = strings.Cut(host, ":")
	return isLocal(host) || slices.Contains([]string{"redis", "valkey", "cache", "postgres", "postgresql", "db", "database"}, host)
}

// refer has a variable made of others; an empty reference leaves it to berth.
func (d *Draft) refer(name, reference string) {
	if reference == "" || d.knows(name) && name != "DATABASE_URL" && name != "REDIS_URL" {
		return
	}
	d.References[name] = reference
}

// takeVariable takes a variable of a file that is public.
func (d *Draft) takeVariable(file, name, value string) {
	switch {
	case others.MatchString(name):
		d.takePort(name, value)
	case !isVariable(name), d.knows(name), d.database(file, name, value):
	case looksSecret(name, value):
		d.addSecret(name)
	case hostList.MatchString(name):
		d.HostVariables = append(d.HostVariables, name)
	case value == "" && slices.Contains(d.fromEnv, name):
		d.addSecret(name)
	case value == "":
		d.note(file, "%s has no value there: give it one under env, or under secrets and in .env, if it is needed", name)
	case forDevelopment(name, value):
		d.note(file, "%s=%s is for development and left out", name, value)
	default:
		if d.compose != nil {
			d.compose.noteHost(file, name, value)
		}
		d.noteLocal(name, value)
		d.Env[name] = value
	}
}

// takePort takes the port that a file gives to the application.
func (d *Draft) takePort(name, value string) {
	if name == "PORT" {
		fill(&d.envPort, number(value))
	}
}

// local is a value that leads to the developer's own machine.
var local = regexp.MustCompile(`^(localhost|127\.0\.0\.1|host\.docker\.internal)(:\d+)?$|(//|@)(localhost|127\.0\.0\.1|host\.docker\.internal)\b`)

// noteLocal remembers a variable that leads there.
func (d *Draft) noteLocal(name, value string) {
	if local.MatchString(value) && !slices.Contains(d.local, name) {
		d.local = append(d.local, name)
	}
}

// variableIn is a reference to another variable, as shells write it.
var variableIn = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)

// referred returns the variables of a file that a value refers to.
func referred(value string, variables []config.Variable) []string {
	var names []string
	for _, found := range variableIn.FindAllStringSubmatch(value, -1) {
		if slices.ContainsFunc(variables, func(v config.Variable) bool { return v.Name == found[1]+found[2] }) {
			names = append(names, found[1]+found[2])
		}
	}
	return names
}

// expanded puts the values of variables in the place of references to them, as the
// libraries do that read such a file.
func expanded(variables []config.Variable) []config.Variable {
	values := map[string]string{}
	var all []config.Variable
	for _, v := range variables {
		v.Value = variableIn.ReplaceAllStringFunc(v.Value, func(text string) string {
			found := variableIn.FindStringSubmatch(text)
			if value, known := values[found[1]+found[2]]; known {
				return value
			}
			return text
		})
		values[v.Name] = v.Value
		all = append(all, v)
	}
	return all
}

// hostList is the name of a list of the hosts that an application answers to.
var hostList = regexp.MustCompile(`(^|_)ALLOWED_HOSTS?$`)

// forDevelopment reports whether a value would make an application in
// production behave as on a developer's machine.
func forDevelopment(name, value string) bool {
	switch strings.ToLower(value) {
	case "development", "dev", "local", "test":
		return strings.HasSuffix(name, "ENV") || strings.HasSuffix(name, "ENVIRONMENT") || strings.HasSuffix(name, "MODE")
	case "1", "true", "yes", "on":
		return name == "DEBUG" || strings.HasSuffix(name, "_DEBUG")
	}
	return false
}

// knows reports whether a variable is set already, or by berth.
func (d *Draft) knows(name string) bool {
	_, plain := d.Env[name]
	_, reference := d.References[name]
	return plain || reference || slices.Contains(d.Secrets, name) || slices.Contains(d.HostVariables, name) ||
		len(d.Services) > 0 && name == "REDIS_URL" || d.Database != "" && name == "DATABASE_URL"
}

func (d *Draft) addSecret(name string) {
	if !slices.Contains(d.Secrets, name) {
		d.Secrets = append(d.Secrets, name)
	}
}

// database learns from DATABASE_URL which database the application uses. It
// reports whether berth sets the variable.
func (d *Draft) database(file, name, value string) bool {
	if name != "DATABASE_URL" {
		return false
	}
	scheme, _, _ := strings.Cut(value, ":")
	switch driver, _, _ := strings.Cut(strings.ToLower(scheme), "+"); {
	case d.Database != "":
		return true
	case strings.HasPrefix(driver, "postgres"):
		d.Database = "postgres"
		if u, err := url.Parse(value); err == nil && strings.Contains(u.Hostname(), ".") && !isLocal(u.Hostname()) {
			d.note(file, "DATABASE_URL leads to a database elsewhere, and berth runs one of its own instead: to stay with that one, remove database and put DATABASE_URL under secrets")
		}
		return true
	case driver == "file":
		d.Database = "sqlite"
		d.Env["DATABASE_URL"] = "file:/data/" + d.Name + ".db" // as Prisma and libSQL write it
		return true
	case strings.HasPrefix(driver, "sqlite"):
		d.Database = "sqlite"
		return true
	case value != "":
		d.note(file, "DATABASE_URL names a database that berth does not run: it stays under secrets, and its value in .env")
	}
	return false
}

// entries reads a .env, or at least its names where it cannot be read.
func entries(text string) ([]config.Variable, error) {
	variables, err := config.ParseDotEnv(text)
	if err == nil {
		return variables, nil
	}
	seen := map[string]bool{}
	for _, found := range entryName.FindAllStringSubmatch(text, -1) {
		if !seen[found[1]] {
			seen[found[1]] = true
			variables = append(variables, config.Variable{Name: found[1]})
		}
	}
	return variables, err
}
