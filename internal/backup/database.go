package backup

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// A Database is one database of a PostgreSQL server and how to get in.
type Database struct {
	config *pgx.ConnConfig
	// tls are the variables of libpq that the URL's parameters stand for.
	tls []string
}

// ParseDatabase reads a URL, postgres://user:password@host/name?sslmode=…; what
// it leaves open, or all if it is empty, comes from the environment's PG*
// variables and the password file, as in PostgreSQL's own programs.
func ParseDatabase(text string) (*Database, error) {
	d := &Database{}
	if text != "" {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
			return nil, fault.Usage("the database is not a URL such as postgres://user@host/name") // The text may hold the password.
		}
		for parameter, variable := range map[string]string{
			"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
		} {
			if value := u.Query().Get(parameter); value != "" {
				d.tls = append(d.tls, variable+"="+value)
			}
		}
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fault.Usage("the database: %w", err) // pgx leaves out the password.
	}
	if config.Database == "" {
		config.Database = config.User
	}
	// Names come as Go has them, whatever the database's encoding is.
	config.RuntimeParams["client_encoding"] = "UTF8"
	// The session that holds snapshot and lock is idle for as long as it takes.
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	config.RuntimeParams["statement_timeout"] = "0"
	d.config = config
	return d, nil
}

// Name is the name of the database.
func (d *Database) Name() string { return d.config.Database }

// named returns another database of the same server.
func (d *Database) named(name string) *Database {
	config := d.config.Copy()
	config.Database = name
	return &Database{config: config, tls: d.tls}
}

func (d *Database) connect(ctx context.Context) (*pgx.Conn, error) {
	connection, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return connection, nil
}

// environ is the environment of PostgreSQL's programs. All they are told goes
// this way: argv is everybody's to read, and a name in it might be taken for
// an option or a connection string.
func (d *Database) environ(inherited []string) []string {
	var environ []string
	for _, variable := range inherited {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains([]string{"PATH", "HOME", "TMPDIR", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"}, name) {
			environ = append(environ, variable)
		}
	}
	environ = append(environ, d.tls...)
	environ = append(environ,
		"PGHOST="+d.config.Host, "PGPORT="+strconv.Itoa(int(d.config.Port)), "PGUSER="+d.config.User, "PGDATABASE="+d.config.Database,
		"LC_ALL=C", "PGAPPNAME=backup", "PGCONNECT_TIMEOUT=30",
		// What a server may have set otherwise and a dump depends on. pg_dump
		// sets the rest itself.
		"PGOPTIONS=-c TimeZone=UTC -c bytea_output=hex -c maintenance_work_mem=128MB -c synchronous_commit=off")
	if d.config.Password != "" {
		environ = append(environ, "PGPASSWORD="+d.config.Password)
	}
	return environ
}

// DatabaseInfo is what a new database needs to be like the one that was dumped.
// SQLite's are nothing but a file, and have a name and a size.
type DatabaseInfo struct {
	Name     string `json:"name"`
	Owner    string `json:"owner,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	Collate  string `json:"collate,omitempty"`
	Ctype    string `json:"ctype,omitempty"`
	// Provider of the locale: "c" of libc, "i" of ICU, "b" built in.
	Provider string `json:"provider,omitempty"`
	// Locale of ICU or of the built-in provider.
	Locale string `json:"locale,omitempty"`
	// Bytes is the size on the server's disk.
	Bytes int64 `json:"bytes"`
	// Settings are those of ALTER DATABASE … SET: "name=value".
	Settings []string `json:"settings,omitempty"`
}

// queryInfo reads it from the connection's database.
func queryInfo(ctx context.Context, c *pgx.Conn) (DatabaseInfo, error) {
	// PostgreSQL 17 renamed the column of the locale.
	var info DatabaseInfo
	err := c.QueryRow(ctx, `
		SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, coalesce(to_jsonb(d)->>'datlocprovider', 'c'),
		       coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', ''),
		       pg_database_size(oid), coalesce((SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0), '{}')
		FROM pg_database d WHERE datname = current_database()`).
		Scan(&info.Name, &info.Owner, &info.Encoding, &info.Collate, &info.Ctype, &info.Provider, &info.Locale, &info.Bytes, &info.Settings)
	if err != nil {
		return info, fmt.Errorf("describe the database: %w", err)
	}
	return info, nil
}

// create makes an empty database of that name, like the one described.
func (info DatabaseInfo) create(ctx context.Context, c *pgx.Conn, name string) error {
	quote := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	var major int
	if err := c.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&major); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	sql := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE template0 ENCODING " + quote(info.Encoding) +
		" LC_COLLATE " + quote(info.Collate) + " LC_CTYPE " + quote(info.Ctype)
	switch {
	case info.Provider == "i" && major < 15:
	case info.Provider == "i":
		sql += " LOCALE_PROVIDER icu ICU_LOCALE " + quote(info.Locale)
	case info.Provider == "b":
		sql += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + quote(info.Locale)
	case major >= 15:
		sql += " LOCALE_PROVIDER libc"
	}
	if _, err := c.Exec(ctx, sql); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// finish gives a restored database the owner and the settings of the original.
func (info DatabaseInfo) finish(ctx context.Context, c *pgx.Conn, name string) error {
	alter := "ALTER DATABASE " + pgx.Identifier{name}.Sanitize()
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, alter+" OWNER TO "+pgx.Identifier{info.Owner}.Sanitize()); err != nil {
			return err
		}
		for _, setting := range info.Settings {
			// A list, such as search_path, is kept as SET reads it. So it is set
			// for this transaction, and the database told to have the same.
			parameter, value, _ := strings.Cut(setting, "=")
			if _, err := tx.Exec(ctx, "SELECT set_config($1, $2, true)", parameter, value); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, alter+" SET "+pgx.Identifier(strings.Split(parameter, ".")).Sanitize()+" FROM CURRENT"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set up database %s: %w", name, err)
	}
	return nil
}

// snapshot is one state of a database that several sessions can look at.
type snapshot struct {
	connection *pgx.Conn
	name       string
	info       DatabaseInfo
	tables     map[string]bool
	version    string
	major      int
}

// lockKey is the number of the advisory lock that a run holds.
const lockKey = 0x6265727468 // "berth"

// begin locks the database against a second run, and takes a snapshot. Both
// last until the connection is closed.
func (d *Database) begin(ctx context.Context) (_ *snapshot, err error) {
	c, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &snapshot{connection: c, tables: map[string]bool{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	var locked bool
	if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(lockKey)).Scan(&locked); err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	if !locked {
		return nil, ErrBusy
	}
	if _, err := c.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return nil, fmt.Errorf("begin a snapshot: %w", err)
	}
	err = c.QueryRow(ctx, "SELECT pg_export_snapshot(), current_setting('server_version'), current_setting('server_version_num')::int / 10000").
		Scan(&s.name, &s.version, &s.major)
	if err != nil {
		return nil, fmt.Errorf("export a snapshot: %w", err)
	}
	if s.info, err = queryInfo(ctx, c); err != nil {
		return nil, err
	}
	return s, s.queryTables(ctx)
}

// queryTables lists the tables that a dump of the snapshot has to hold.
func (s *snapshot) queryTables(ctx context.Context) error {
	rows, err := s.connection.Query(ctx, `
		SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind = 'r' AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
		AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')`)
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	var schema, table string
	_, err = pgx.ForEachRow(rows, []any{&schema, &table}, func() error {
		s.tables[TableName(schema, table)] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	return nil
}

func (s *snapshot) close() {
	// The server drops lock and snapshot with the connection, however it ends.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.connection.Close(ctx)
}
