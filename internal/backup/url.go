package backup

import (
	"cmp"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgservicefile"
	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// ParseDatabase reads a URL, postgres://user:password@host/name?sslmode=…; what
// it leaves open, or all if it is empty, comes from the environment's PG*
// variables, the service file and the password file, as in PostgreSQL's own
// programs. A URL may be as an application's driver wants it.
func ParseDatabase(text string) (*Database, error) {
	d := &Database{server: &server{}}
	parameters := url.Values{}
	if text = strings.TrimSpace(text); text != "" {
		u, err := parseURL(text)
		if err != nil {
			return nil, err
		}
		parameters = u.Query()
		own := url.Values{}
		for name, values := range parameters {
			if slices.Contains(ownParameters, name) {
				own[name] = values
			}
		}
		u.RawQuery = encode(own)
		text = u.String()
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fault.Usage("the database: %w", err) // pgx leaves out the password.
	}
	settings, err := serviceSettings(cmp.Or(parameters.Get("service"), os.Getenv("PGSERVICE")), cmp.Or(parameters.Get("servicefile"), os.Getenv("PGSERVICEFILE")))
	if err != nil {
		return nil, err
	}
	for parameter, variable := range libpqTLS {
		value := cmp.Or(parameters.Get(parameter), settings[parameter])
		if value == "system" && parameter == "sslrootcert" {
			value = systemCAs
		}
		if value != "" {
			d.tls = append(d.tls, variable+"="+value)
		}
	}
	slices.Sort(d.tls)
	if config.Database == "" {
		config.Database = config.User
	}
	maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool { return name != "options" && name != "application_name" })
	// Names come as Go has them, whatever the database's encoding is.
	config.RuntimeParams["client_encoding"] = "UTF8"
	// From the first statement on; the rest is set by one.
	for _, timeout := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		config.RuntimeParams[timeout] = "0"
	}
	d.config = config
	return d, nil
}

// ownParameters are those of a URL that pgx takes for its own. It would send any other to
// the server as a setting, which no server knows: drivers have parameters of theirs.
var ownParameters = []string{
	"host", "port", "dbname", "database", "user", "password", "passfile", "connect_timeout", "service", "servicefile", "target_session_attrs",
	"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcertmode", "sslsni", "sslnegotiation", "channel_binding", "require_auth", "krbsrvname",
	"options", "application_name",
}

// libpqTLS are the parameters of a URL or a service that the programs have to be
// told of, and the variables that tell them.
var libpqTLS = map[string]string{
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
	"sslcrl": "PGSSLCRL", "sslcrldir": "PGSSLCRLDIR", "sslsni": "PGSSLSNI", "sslcertmode": "PGSSLCERTMODE", "sslnegotiation": "PGSSLNEGOTIATION",
	"ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION", "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
	"channel_binding": "PGCHANNELBINDING", "require_auth": "PGREQUIREAUTH", "requirepeer": "PGREQUIREPEER",
	"gssencmode": "PGGSSENCMODE", "krbsrvname": "PGKRBSRVNAME",
}

// systemCAs is where Debian has the certificates that "sslrootcert=system" means, which
// libpq does not know before version 16.
const systemCAs = "/etc/ssl/certs/ca-certificates.crt"

// parseURL reads a URL in the forms that libpq and drivers know: with the name of a
// driver in its scheme, a Unix socket as its host, and the drivers' word for TLS.
// Errors do not quote it, as it may hold the password.
func parseURL(text string) (*url.URL, error) {
	scheme, rest, ok := strings.Cut(strings.TrimPrefix(text, "jdbc:"), "://")
	scheme, _, _ = strings.Cut(scheme, "+")
	if !ok || !slices.Contains([]string{"postgres", "postgresql", "postgis", "pgsql"}, strings.ToLower(scheme)) {
		return nil, fault.Usage("the database is not a URL such as postgres://user@host/name")
	}
	// Go takes no escaped slash in a host, and libpq wants it so.
	authority, path := rest, ""
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority, path = rest[:end], rest[end:]
	}
	socket, user := "", ""
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user = authority[:at+1]
	}
	if host, port, _ := strings.Cut(authority[len(user):], ":"); strings.HasPrefix(strings.ToLower(host), "%2f") {
		var err error
		if socket, err = url.PathUnescape(host); err != nil {
			return nil, fault.Usage("the database's host is not a folder of a socket such as %%2Fvar%%2Frun%%2Fpostgresql")
		}
		authority = user
		if port != "" {
			authority += ":" + port
		}
	}
	u, err := url.Parse("postgres://" + authority + path)
	if err != nil || u.Fragment != "" {
		return nil, fault.WithHint(fault.Usage("the database is not a URL such as postgres://user@host/name"),
			"in the user, the password and the name, percent-encode special characters: %%40 for @, %%2F for /, %%3A for :, %%23 for #, %%25 for %%")
	}
	u.RawQuery = strings.ReplaceAll(u.RawQuery, "+", "%2B")
	q := u.Query()
	if socket != "" {
		q.Set("host", socket)
	}
	switch ssl := q.Get("ssl"); {
	case q.Get("sslmode") == "no-verify": // of Node.js
		q.Set("sslmode", "require")
	case q.Has("sslmode") || ssl == "":
	case slices.Contains([]string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}, ssl): // of asyncpg
		q.Set("sslmode", ssl)
	case slices.Contains([]string{"true", "1", "on", "yes"}, strings.ToLower(ssl)):
		q.Set("sslmode", "require")
	}
	for _, no := range []struct{ parameter, instead string }{
		{"hostaddr", "name the address as the host"},
		{"sslpassword", "PostgreSQL's programs take it nowhere: store the key without a password"},
	} {
		if q.Has(no.parameter) {
			return nil, fault.WithHint(fault.Usage("the database: its URL must not have %s", no.parameter), "%s", no.instead)
		}
	}
	u.RawQuery = encode(q)
	return u, nil
}

// encode is a query as libpq reads it, for which a plus is a plus and no space.
func encode(q url.Values) string { return strings.ReplaceAll(q.Encode(), "+", "%20") }

// serviceSettings reads a section of the connection service file, as pgx does.
func serviceSettings(name, path string) (map[string]string, error) {
	if name == "" {
		return nil, nil
	}
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fault.Usage("the database's service %q: %w", name, err)
		}
		path = filepath.Join(home, ".pg_service.conf")
	}
	file, err := pgservicefile.ReadServicefile(path)
	if err != nil {
		return nil, fault.Usage("the database's service %q: %s cannot be read", name, path) // The error may quote a line.
	}
	service, err := file.GetService(name)
	if err != nil {
		return nil, fault.Usage("the database's service %q is not in %s", name, path)
	}
	return service.Settings, nil
}
