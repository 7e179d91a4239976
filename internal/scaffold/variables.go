package scaffold

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

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
		d.noteHost(file, name, value)
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

// noteHost tells of a value that leads to another service, or to the developer's machine.
func (d *Draft) noteHost(file, name, value string) {
	server := hostOf(value)
	isAddress := hostName.MatchString(name) || urlName.MatchString(name) || server != value
	switch own, isService := d.peers[server]; {
	case server == "" || !isAddress:
	case own:
		d.note(file, "%s leads to service %s, which is the application itself: within a pod that is localhost, and from elsewhere its public address", name, server)
	case isService:
		d.note(file, "%s leads to service %s, which berth does not run: give it another address in berth.yaml", name, server)
	default:
		d.noteLocal(name, value)
	}
}

func hostOf(value string) string {
	if u, err := url.Parse(value); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	host, _, _ := strings.Cut(value, ":")
	return host
}

// noteLocal remembers a variable that leads to the developer's own machine.
func (d *Draft) noteLocal(name, value string) {
	if local.MatchString(value) && !slices.Contains(d.local, name) {
		d.local = append(d.local, name)
	}
}

// refer has a variable made of others; an empty reference leaves it to berth.
func (d *Draft) refer(name, reference string) {
	if reference == "" || d.knows(name) && name != "DATABASE_URL" && name != "REDIS_URL" {
		return
	}
	d.References[name] = reference
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

// others are variables that are not the application's: berth sets them, or
// they are settings of berth, of Docker or of the database's own container.
var others = regexp.MustCompile(`^(PORT|COMPOSE_.*|DOCKER_.*|(LOGS_)?BUCKET_(ACCESS|SECRET)_KEY|BACKUP_(WEBHOOK_URL|AGE_IDENTITY)|LOGS_(ENDPOINT|SOURCE_ID|API_KEY)|DIGITALOCEAN_(TOKEN|API_URL)|SPACES_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|ENDPOINT_URL)|POSTGRES_(USER|PASSWORD|DB|INITDB_ARGS|HOST_AUTH_METHOD)|MYSQL_.*|PGDATA)$`)

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

// local is a value that leads to the developer's own machine.
var local = regexp.MustCompile(`^(localhost|127\.0\.0\.1|host\.docker\.internal)(:\d+)?$|(//|@)(localhost|127\.0\.0\.1|host\.docker\.internal)\b`)

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

var (
	// secretName is what the names of secrets have in them.
	secretName = regexp.MustCompile(`(?i)(^|_)(SECRETS?|TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|PASS|PWD|KEYS?|APIKEY|CREDENTIALS?|PRIVATE|DSN|SALT|PEPPER|SIGNATURE|AUTH|CERT|WEBHOOK|JWT)(_|$)|SECRET|PASSWORD|TOKEN$`)
	// publicName is what those have that only look like it.
	publicName = regexp.MustCompile(`(?i)^(NEXT_PUBLIC|VITE|REACT_APP|PUBLIC|NUXT_PUBLIC)_|PUBLIC_KEY|PUBLISHABLE|KEY_ID$|(^|_)(KEY|TOKEN|PASSWORD|SECRET|CERT)_(FILE|PATH|DIR|NAME|PREFIX|LENGTH|TTL|EXPIRES?|EXPIRY|LIFETIME|ALGORITHM|TIMEOUT|AGE)$|_PASSWORD_(RESET|MIN|MAX).*|^AUTH_(URL|MODE|TYPE)$`)
	// randomValue is what a key looks like.
	randomValue = regexp.MustCompile(`^([0-9a-fA-F]{32,}|[A-Za-z0-9+/_-]{40,}={0,2})$|-----BEGIN `)
)

func isVariable(name string) bool { return variable.MatchString(name) }

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
