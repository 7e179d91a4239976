package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
)

// snapshot is one state of a database that several sessions can look at.
type snapshot struct {
	connection *pgx.Conn
	name       string
	info       DatabaseInfo
	tables     map[string]relation
	version    string
	major      int
}

// relation is a table of a snapshot.
type relation struct {
	oid uint32
	// root is the partitioned table that it is a part of, or empty.
	root string
}

// lockKey is the number of the advisory lock that a run holds.
const lockKey = 0x6265727468 // "berth"

// begin locks the database against a second run, and takes a snapshot. Both
// last until the connection is closed.
func (d *Database) begin(ctx context.Context) (_ *snapshot, err error) {
	c, err := d.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &snapshot{connection: c}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := d.refusePooler(ctx, c); err != nil {
		return nil, err
	}
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
	if s.info.Encoding == "SQL_ASCII" {
		return s, s.asTheyAre(ctx)
	}
	s.tables, err = queryTables(ctx, c)
	return s, err
}

// refusePooler refuses a connection pooler such as pgbouncer, which lends a session
// of the server to the next client: a lock or a snapshot is then somebody else's,
// and the settings that PostgreSQL's programs ask for are lost.
func (d *Database) refusePooler(ctx context.Context, c *pgx.Conn) error {
	// What stands between names a process of its own making when a session begins.
	var pid uint32
	if err := c.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return fmt.Errorf("look at the session: %w", err)
	}
	if pid == c.PgConn().PID() {
		return nil
	}
	// A mere proxy does so, too, but passes on what a session asks for.
	probe := d.Named(d.Name())
	probe.config.RuntimeParams["options"] += " -c berth.direct=on"
	var direct string
	if c, err := probe.Connect(ctx); err == nil {
		err = c.QueryRow(ctx, "SELECT coalesce(current_setting('berth.direct', true), '')").Scan(&direct)
		if err := errors.Join(err, c.Close(ctx)); err != nil {
			return fmt.Errorf("look at the session: %w", err)
		}
	}
	if direct == "on" {
		return nil
	}
	return errPooler
}

// asTheyAre reads names in the database's own encoding, as they are in a dump in it.
func (s *snapshot) asTheyAre(ctx context.Context) (err error) {
	if _, err := s.connection.Exec(ctx, "SELECT set_config('client_encoding', getdatabaseencoding(), true)"); err != nil {
		return fmt.Errorf("read names as they are: %w", err)
	}
	s.tables, err = queryTables(ctx, s.connection)
	return err
}

// changed reports whether tables were made or dropped since the snapshot.
func (s *snapshot) changed(ctx context.Context, d *Database) bool {
	c, err := d.Connect(ctx)
	if err != nil {
		return false
	}
	defer c.Close(context.WithoutCancel(ctx))
	if _, err := c.Exec(ctx, "SELECT set_config('client_encoding', $1, false)", s.connection.PgConn().ParameterStatus("client_encoding")); err != nil {
		return false
	}
	now, err := queryTables(ctx, c)
	return err == nil && !maps.Equal(s.tables, now)
}

// queryTables lists the tables that a dump of the snapshot has to hold.
func queryTables(ctx context.Context, c *pgx.Conn) (map[string]relation, error) {
	rows, err := c.Query(ctx, `
		SELECT n.nspname, c.relname, c.oid, coalesce(rn.nspname, ''), coalesce(r.relname, '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid) LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
		WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	tables := map[string]relation{}
	var schema, table, rootSchema, root string
	var oid uint32
	_, err = pgx.ForEachRow(rows, []any{&schema, &table, &oid, &rootSchema, &root}, func() error {
		r := relation{oid: oid}
		if root != "" {
			r.root = TableName(rootSchema, root)
		}
		tables[TableName(schema, table)] = r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	return tables, nil
}

// missing returns a table of the snapshot that a dump leaves out, or "". The rows of
// partitions by the hash of an enum, pg_dump writes under their root, part by part:
// where they belong depends on numbers that a restored type does not keep.
func (s *snapshot) missing(c Contents) string {
	under := map[string]int{}
	for name, table := range s.tables {
		if _, there := c.Tables[name]; there {
			continue
		}
		if under[table.root]++; table.root == "" || under[table.root] > c.Sections[table.root] {
			return name
		}
	}
	return ""
}

func (s *snapshot) close() {
	// The server drops lock and snapshot with the connection, however it ends.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.connection.Close(ctx)
}
