package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Schema returns the statements that make a database's tables, indexes, views and
// triggers, each after a line "-- Name: …; Type: …" as in PostgreSQL's dumps. Nobody may
// write to the file meanwhile.
func Schema(ctx context.Context, path string) (string, error) {
	db, err := sql.Open("sqlite", location(path, "mode=ro&immutable=1"))
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT upper(type), name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
	if err != nil {
		return "", fmt.Errorf("read the schema of %s: %w", path, err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var kind, name, statement string
		if err := rows.Scan(&kind, &name, &statement); err != nil {
			return "", fmt.Errorf("read the schema of %s: %w", path, err)
		}
		fmt.Fprintf(&b, "-- Name: %s; Type: %s; Schema: main; Owner: -\n\n%s;\n\n", name, kind, statement)
	}
	return b.String(), rows.Err()
}
