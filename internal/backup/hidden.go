package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// hidden tells what pg_dump leaves out without a word: what the session's role may not
// see, and rows of tables that belong to an extension or to PostgreSQL's own schemas.
func hidden(ctx context.Context, c *pgx.Conn) ([]string, error) {
	mappings, err := hiddenMappings(ctx, c)
	if err != nil {
		return nil, err
	}
	rows, err := leftOut(ctx, c)
	return append(mappings, rows...), err
}

// leftOut looks for tables with rows that pg_dump does not dump. An extension can ask
// for its tables' rows; of others it may make them itself, or somebody has lost them.
func leftOut(ctx context.Context, c *pgx.Conn) (all []string, err error) {
	rows, err := c.Query(ctx, `
		SELECT n.nspname, r.relname, coalesce(e.extname, '') FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
		LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'e' LEFT JOIN pg_extension e ON e.oid = d.refobjid
		WHERE r.relkind = 'r' AND r.oid >= 16384 AND (e.oid IS NOT NULL AND r.oid <> ALL (coalesce(e.extconfig, '{}')) OR e.oid IS NULL AND n.nspname IN ('pg_catalog', 'information_schema'))
		ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("look for what is left out: %w", err)
	}
	type table struct{ Schema, Name, Extension string }
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil {
		return nil, fmt.Errorf("look for what is left out: %w", err)
	}
	for _, t := range tables {
		why := "it is in a schema of PostgreSQL's own"
		if t.Extension != "" {
			why = fmt.Sprintf("it belongs to the extension %s, which makes them itself or has not asked for them", t.Extension)
		}
		var some bool
		// A role that may not read it lets the whole query fail, and the snapshot with it.
		err := c.QueryRow(ctx, "SELECT has_table_privilege($1::text, 'SELECT')", pgx.Identifier{t.Schema, t.Name}.Sanitize()).Scan(&some)
		if err == nil && some {
			err = c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+pgx.Identifier{t.Schema, t.Name}.Sanitize()+")").Scan(&some)
		}
		if err != nil {
			return nil, fmt.Errorf("look for what is left out: table %s: %w", TableName(t.Schema, t.Name), err)
		}
		if some {
			all = append(all, fmt.Sprintf("the rows of table %s are not in the backup: %s", TableName(t.Schema, t.Name), why))
		}
	}
	return all, nil
}

// hiddenMappings tells of the options of user mappings that the role may not see: they
// may be passwords. Of subscriptions pg_dump warns itself.
func hiddenMappings(ctx context.Context, c *pgx.Conn) ([]string, error) {
	// As in PostgreSQL's view pg_user_mappings.
	rows, err := c.Query(ctx, `
		SELECT current_user, m.srvname, m.usename FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid
		WHERE umoptions IS NULL AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
		AND NOT (umuser <> 0 AND usename = current_user AND (pg_has_role(srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')))
		AND NOT (umuser = 0 AND pg_has_role(srvowner, 'USAGE')) ORDER BY 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("look for what the role may not see: %w", err)
	}
	var all []string
	var role, server, user string
	_, err = pgx.ForEachRow(rows, []any{&role, &server, &user}, func() error {
		all = append(all, fmt.Sprintf("the options of the user mapping for %s on server %s are not in the backup: role %s may not see them", user, server, role))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for what the role may not see: %w", err)
	}
	return all, nil
}
