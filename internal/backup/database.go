package backup

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"berth/internal/fault"
)

// A Database is one database of a PostgreSQL server and how to get in.
type Database struct {
	config *pgx.ConnConfig
	// tls are the variables of libpq that the connection's parameters stand for.
	tls []string
	// server is the same for all databases of a server.
	server *server
}

// server is what the first session has found out: which one of several hosts
// serves, so that PostgreSQL's programs go there too, and its major version.
type server struct {
	mu    sync.Mutex
	host  string
	port  uint16
	major int
	super bool
}

// Name is the name of the database.
func (d *Database) Name() string { return d.config.Database }

// Named returns another database of the same server.
func (d *Database) Named(name string) *Database {
	config := d.config.Copy()
	config.Database = name
	return &Database{config: config, tls: d.tls, server: d.server}
}

// At returns the database of that name on another server, a host or host:port, entered
// in the same way.
func (d *Database) At(address string) (*Database, error) {
	config := d.config.Copy()
	before := pgconn.FallbackConfig{Host: config.Host, Port: config.Port}
	config.Host = address
	if host, port, err := net.SplitHostPort(address); err == nil {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fault.Usage("%q is no port", port)
		}
		config.Host, config.Port = host, uint16(number)
	}
	named := func(tls *tls.Config) *tls.Config {
		if tls != nil && tls.ServerName == before.Host {
			tls = tls.Clone()
			tls.ServerName = config.Host
		}
		return tls
	}
	config.TLSConfig = named(config.TLSConfig)
	config.Fallbacks = nil
	for _, f := range d.config.Fallbacks {
		if f.Host == before.Host && f.Port == before.Port { // with or without TLS
			config.Fallbacks = append(config.Fallbacks, &pgconn.FallbackConfig{Host: config.Host, Port: config.Port, TLSConfig: named(f.TLSConfig)})
		}
	}
	return &Database{config: config, tls: d.tls, server: &server{}}, nil
}

// As returns the same database, entered as another role.
func (d *Database) As(user, password string) *Database {
	config := d.config.Copy()
	config.User, config.Password = user, password
	return &Database{config: config, tls: d.tls, server: &server{}}
}

// maintenance opens a session of another database of the server, from which this
// one can be renamed: postgres, or what takes its place.
func (d *Database) maintenance(ctx context.Context) (*Database, *pgx.Conn, error) {
	var failed []error
	for _, name := range []string{"postgres", "template1"} {
		if name == d.Name() {
			continue
		}
		m := d.Named(name)
		c, err := m.Connect(ctx)
		if err == nil {
			return m, c, nil
		}
		failed = append(failed, fmt.Errorf("database %s: %w", name, err))
	}
	return nil, nil, fault.WithHint(fmt.Errorf("a restore connects to another database of the server, and %s may connect to none: %w", d.config.User, errors.Join(failed...)),
		"GRANT CONNECT ON DATABASE postgres TO %s", pgx.Identifier{d.config.User}.Sanitize())
}

// Connect opens a session, protected by the settings of [session]. It goes to the same
// host each time.
func (d *Database) Connect(ctx context.Context) (*pgx.Conn, error) {
	var failed []error
	for _, config := range d.hosts() {
		c, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			var answer *pgconn.PgError
			if errors.As(err, &answer) && answer.Code == "08P01" && strings.Contains(answer.Message, "startup parameter") {
				return nil, fmt.Errorf("%w: %w", errPooler, err)
			}
			failed = append(failed, err)
			continue
		}
		if err := d.settle(ctx, c, config); err != nil {
			return nil, errors.Join(fmt.Errorf("connect to the database: %w", err), c.Close(context.WithoutCancel(ctx)))
		}
		return c, nil
	}
	return nil, fmt.Errorf("connect to the database: %w", errors.Join(failed...))
}

// errPooler is what stands where the database should.
var errPooler = fault.WithHint(errors.New("the database's address is that of a connection pooler, which cannot give a consistent snapshot"),
	"name PostgreSQL's own host and port")

// hosts are the configurations to try one after the other, one for each host of
// the URL, or the one that was found.
func (d *Database) hosts() (all []*pgx.ConnConfig) {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	fallbacks := append([]*pgconn.FallbackConfig{{Host: d.config.Host, Port: d.config.Port, TLSConfig: d.config.TLSConfig}}, d.config.Fallbacks...)
	for _, f := range fallbacks {
		if d.server.host != "" && (f.Host != d.server.host || f.Port != d.server.port) {
			continue
		}
		if n := len(all); n > 0 && all[n-1].Host == f.Host && all[n-1].Port == f.Port {
			all[n-1].Fallbacks = append(all[n-1].Fallbacks, f) // with or without TLS
			continue
		}
		config := d.config.Copy()
		config.Host, config.Port, config.TLSConfig, config.Fallbacks = f.Host, f.Port, f.TLSConfig, nil
		all = append(all, config)
	}
	return all
}

// settle protects a new session, and notes which server it is of.
func (d *Database) settle(ctx context.Context, c *pgx.Conn, config *pgx.ConnConfig) error {
	// Before all else: the database may have a path on which others' tables and functions
	// come before PostgreSQL's, and who may make some must not run them as this user.
	if _, err := c.Exec(ctx, "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)"); err != nil {
		return err
	}
	var major int
	var super bool
	err := c.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000, rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&major, &super)
	if err != nil {
		return err
	}
	d.server.mu.Lock()
	d.server.host, d.server.port, d.server.major, d.server.super = config.Host, config.Port, major, super
	d.server.mu.Unlock()
	for _, s := range d.session() {
		if _, err := c.Exec(ctx, "SELECT set_config($1, $2, false)", s[0], s[1]); err != nil {
			return err
		}
	}
	return nil
}

// environ is the environment of PostgreSQL's programs. All they are told goes
// this way: argv is everybody's to read, and a name in it might be taken for
// an option or a connection string.
func (d *Database) environ(inherited []string) []string {
	var environ []string
	for _, variable := range inherited {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains([]string{"PATH", "HOME", "TMPDIR"}, name) {
			environ = append(environ, variable)
			continue
		}
		for _, tls := range libpqTLS {
			if name == tls {
				environ = append(environ, variable)
			}
		}
	}
	environ = append(environ, d.tls...)
	host, port := d.config.Host, d.config.Port
	d.server.mu.Lock()
	if d.server.host != "" {
		host, port = d.server.host, d.server.port
	}
	d.server.mu.Unlock()
	var options []string
	if own := d.config.RuntimeParams["options"]; own != "" {
		options = append(options, own)
	}
	for _, s := range d.session() {
		options = append(options, "-c "+s[0]+"="+s[1])
	}
	environ = append(environ,
		"PGHOST="+host, "PGPORT="+strconv.Itoa(int(port)), "PGUSER="+d.config.User, "PGDATABASE="+d.config.Database,
		"LC_ALL=C", "PGAPPNAME=backup", "PGCONNECT_TIMEOUT=30", "PGOPTIONS="+strings.Join(options, " "))
	if d.config.Password != "" {
		environ = append(environ, "PGPASSWORD="+d.config.Password)
	}
	return environ
}

// session returns the settings that the server knows and the user may make. Before
// the first connection they are those of the oldest.
func (d *Database) session() (all [][2]string) {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	for _, s := range session {
		if s.since <= d.server.major && (!s.super || d.server.super) {
			all = append(all, [2]string{s.name, s.value})
		}
	}
	return all
}

// session are the settings of every session that the job opens, and of those that
// PostgreSQL's programs open: what a server, a database or a role may have set
// otherwise, and a dump or a restore depends on. An older server knows fewer.
var session = []struct {
	name, value string
	since       int
	super       bool
}{
	{"TimeZone", "UTC", 0, false},
	{"bytea_output", "hex", 0, false},
	{"DateStyle", "ISO", 0, false},
	{"IntervalStyle", "postgres", 0, false},
	{"default_transaction_read_only", "off", 0, false},
	{"maintenance_work_mem", "128MB", 0, false},
	{"synchronous_commit", "off", 0, false},
	{"statement_timeout", "0", 0, false},
	{"lock_timeout", "0", 0, false},
	{"idle_in_transaction_session_timeout", "0", 0, false},
	{"idle_session_timeout", "0", 14, false},
	{"transaction_timeout", "0", 17, false},
	// How a dump is written and read again must not depend on whose session it is.
	{"array_nulls", "on", 0, false},
	{"quote_all_identifiers", "off", 0, false},
	{"standard_conforming_strings", "on", 0, false},
	{"transform_null_equals", "off", 0, false},
	// Triggers on login would write into what is restored, or refuse the job.
	{"event_triggers", "off", 17, true},
}
