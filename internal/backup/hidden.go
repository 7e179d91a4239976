package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// hidden tells what the session's role may not see, and pg_dump leaves out without
// a word: the options of user mappings, which may be passwords. Of subscriptions
// pg_dump warns itself.
func hidden(ctx context.Context, c *pgx.Conn) ([]string, error) {
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
