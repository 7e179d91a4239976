package scaffold

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"berth/internal/config"
)

// part is a piece of a server's address: what a client needs to reach and enter it.
type part string

const (
	host     part = "HOST"
	port     part = "PORT"
	user     part = "USER"
	password part = "PASSWORD"
	database part = "DATABASE"
)

// given are the variables in which berth tells the parts of the address of each kind
// of server; see charts/realworld/templates/_env.tpl. Of a Valkey's, the user is the
// default one, and there is no database by a name.
var given = map[string]map[part]string{
	"postgres": {host: "PGHOST", port: "PGPORT", user: "PGUSER", password: "PGPASSWORD", database: "PGDATABASE"},
	"valkey":   {host: "REDIS_HOST", port: "REDIS_PORT", password: "REDIS_PASSWORD"},
}

var (
	// hostName is how names of variables end that hold a server's host.
	hostName = regexp.MustCompile(`(?i)(HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$`)
	// urlName is how those end that hold the whole address.
	urlName = regexp.MustCompile(`(?i)(URL|URI|DSN)$`)
	// partNames are how those end that hold the other parts.
	partNames = map[string]part{
		"HOST": host, "HOSTNAME": host, "SERVER": host, "PORT": port, "USER": user, "USERNAME": user, "USER_NAME": user, "LOGIN": user,
		"PASS": password, "PASSWORD": password, "PASSWD": password, "PWD": password,
		"NAME": database, "DB": database, "DATABASE": database, "DBNAME": database, "DB_NAME": database, "DATABASE_NAME": database,
	}
	// usualPrefix is how names begin that hold parts by convention.
	usualPrefix = map[string]*regexp.Regexp{
		"postgres": regexp.MustCompile(`(?i)^([A-Z0-9]+_+)*?(DB|DATABASE|POSTGRES|POSTGRESQL|POSTGRESDB|PG|SQL)_*$`),
		"valkey":   regexp.MustCompile(`(?i)^([A-Z0-9]+_+)*?(REDIS|VALKEY)_*$`),
	}
	// dsnKeys are the parts in a list like "Host=db;Username=app".
	dsnKeys = map[string]part{
		"host": host, "server": host, "datasource": host, "port": port, "user": user, "userid": user, "username": user, "uid": user,
		"password": password, "pwd": password, "database": database, "dbname": database, "initialcatalog": database,
	}
	plainQuery  = regexp.MustCompile(`^[A-Za-z0-9_=&.,-]*$`)
	plainScheme = regexp.MustCompile(`^[a-z][a-z0-9+]*$`)
)

// addresses tell which of a file's variables lead to the database and the services
// that berth runs, and how the application finds the same there.
type addresses struct {
	// stores are the kinds of servers by the names that the file has for them.
	stores map[string]string
	// prefixes are the kinds of servers by how the names of variables begin that hold
	// a part of the address: "" for a server that berth does not run.
	prefixes map[string]string
	// usual are the kinds whose parts are known by conventional names.
	usual []string
	// public says that values may be written.
	public bool
}

// newAddresses learns from the variables that hold hosts and URLs what the others are.
func newAddresses(stores map[string]string, variables []config.Variable, public bool) *addresses {
	a := &addresses{stores: stores, prefixes: map[string]string{}, public: public}
	for _, kind := range sorted(stores) {
		if kind := stores[kind]; !slices.Contains(a.usual, kind) {
			a.usual = append(a.usual, kind)
		}
	}
	for _, v := range variables {
		if at := urlName.FindStringIndex(v.Name); at != nil {
			if u, err := url.Parse(strings.TrimPrefix(v.Value, "jdbc:")); err == nil && a.kindOf(u) != "" {
				a.prefixes[v.Name[:at[0]]] = a.kindOf(u)
			}
		}
		at := hostName.FindStringIndex(v.Name)
		if at == nil || v.Value == "" {
			continue
		}
		name, _, _ := strings.Cut(v.Value, ":")
		if isLocal(name) {
			continue // the developer's own, which the name of the variable tells apart
		}
		a.prefixes[v.Name[:at[0]]] = stores[name]
	}
	return a
}

// reference returns what a variable is made of that holds an address or a part of one,
// with $(NAME) for what berth tells. It is "" where berth sets the variable itself; ok
// is false where the variable holds something else.
func (a *addresses) reference(name, value string) (reference string, ok bool) {
	for _, form := range []func(name, value string) (string, bool){a.url, a.host, a.list, a.part} {
		if reference, ok := form(name, value); ok {
			if reference == "$("+name+")" || name == "POSTGRES_PASSWORD" {
				reference = ""
			}
			return reference, true
		}
	}
	return "", false
}

// url is for a URL, also as JDBC writes it.
func (a *addresses) url(_, value string) (string, bool) {
	rest, jdbc := strings.CutPrefix(value, "jdbc:")
	u, err := url.Parse(rest)
	if err != nil || u.Host == "" || !plainScheme.MatchString(u.Scheme) {
		return "", false
	}
	switch a.kindOf(u) {
	case "postgres":
		query := u.Query()
		entered := query.Has("password")
		for _, name := range []string{"user", "password", "sslmode"} {
			query.Del(name)
		}
		more := query.Encode()
		if !a.public || !plainQuery.MatchString(more) {
			more = ""
		}
		if more == "" && !jdbc && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
			return "$(DATABASE_URL)", true
		}
		if jdbc && entered {
			more = strings.TrimPrefix(more+"&user=$(PGUSER)&password=$(PGPASSWORD)", "&")
		}
		if more != "" {
			more = "?" + more
		}
		if jdbc {
			return "jdbc:" + u.Scheme + "://$(PGHOST):$(PGPORT)/$(PGDATABASE)" + more, true
		}
		return u.Scheme + "://$(PGUSER):$(PGPASSWORD)@$(PGHOST):$(PGPORT)/$(PGDATABASE)" + more, true
	case "valkey":
		if number := strings.Trim(u.Path, "/"); number != "" && number != "0" && plainQuery.MatchString(number) {
			return "redis://:$(REDIS_PASSWORD)@$(REDIS_HOST):$(REDIS_PORT)/" + number, true
		}
		return "$(REDIS_URL)", true
	}
	return "", false
}

// kindOf returns the kind of server that a URL leads to: by its host, or by its scheme
// where that is the developer's own machine.
func (a *addresses) kindOf(u *url.URL) string {
	scheme, _, _ := strings.Cut(u.Scheme, "+")
	if kind := kinds[scheme]; isLocal(u.Hostname()) && slices.Contains(a.usual, kind) {
		return kind
	}
	return a.stores[u.Hostname()]
}

// kinds are the servers that schemes of URLs are for.
var kinds = map[string]string{"redis": "valkey", "rediss": "valkey", "valkey": "valkey", "postgres": "postgres", "postgresql": "postgres"}

// host is for a host's name alone, or with its port.
func (a *addresses) host(name, value string) (string, bool) {
	server, number, both := strings.Cut(value, ":")
	kind := a.stores[server]
	if at := hostName.FindStringIndex(name); kind == "" && isLocal(server) && at != nil {
		kind = a.usualKind(name[:at[0]])
	}
	number, options, more := strings.Cut(number, ",")
	if kind == "valkey" && both && (more || strings.Contains(strings.ToLower(name), "connectionstring")) && strings.Trim(number, "0123456789") == "" && a.public {
		// StackExchange.Redis' list of options.
		reference := "$(REDIS_HOST):$(REDIS_PORT),password=$(REDIS_PASSWORD)"
		for option := range strings.SplitSeq(options, ",") {
			if key, _, _ := strings.Cut(option, "="); option != "" && !strings.EqualFold(key, "password") {
				reference += "," + strings.ReplaceAll(option, "$", "$$")
			}
		}
		return reference, true
	}
	if more || kind == "" || both && strings.Trim(number, "0123456789") != "" || !both && !hostName.MatchString(name) {
		return "", false
	}
	reference := "$(" + given[kind][host] + ")"
	if both {
		reference += ":$(" + given[kind][port] + ")"
	}
	return reference, true
}

// isLocal reports whether a host is the developer's own machine.
func isLocal(host string) bool {
	switch host {
	case "localhost", "127.0.0.1", "::1", "[::1]", "host.docker.internal":
		return true
	}
	return false
}

// list is for "Host=db;Username=app", as ADO.NET writes it, and for libpq's "host=db
// user=app".
func (a *addresses) list(_, value string) (string, bool) {
	if !a.public {
		return "", false
	}
	separator := " "
	if strings.Contains(value, ";") {
		separator = ";"
	}
	fields := strings.Split(value, separator)
	leads := false
	for i, field := range fields {
		key, content, _ := strings.Cut(field, "=")
		what, known := dsnKeys[strings.ToLower(strings.ReplaceAll(strings.TrimSpace(key), " ", ""))]
		if !known {
			fields[i] = strings.ReplaceAll(field, "$", "$$")
			continue
		}
		leads = leads || what == host && a.stores[strings.TrimSpace(content)] == "postgres"
		fields[i] = key + "=$(" + given["postgres"][what] + ")"
	}
	return strings.Join(fields, separator), leads
}

// part is for a variable that holds one part.
func (a *addresses) part(name, _ string) (string, bool) {
	for _, end := range sorted(partNames) {
		if len(name) <= len(end) || !strings.EqualFold(name[len(name)-len(end):], end) {
			continue
		}
		prefix := name[:len(name)-len(end)]
		kind, named := a.prefixes[prefix]
		if !named {
			kind = a.usualKind(prefix)
		}
		if variable := given[kind][partNames[end]]; variable != "" {
			return "$(" + variable + ")", true
		}
	}
	return "", false
}

// usualKind returns the kind of server that variables are about which begin so.
func (a *addresses) usualKind(prefix string) (kind string) {
	for _, usual := range a.usual {
		if usualPrefix[usual].MatchString(prefix) && !strings.Contains(strings.ToUpper(prefix), "TEST") {
			kind = usual
		}
	}
	return kind
}
