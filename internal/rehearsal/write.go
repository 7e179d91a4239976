package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// sample is how many rows of a table are written to it again at most, out of the first
	// so many; largestRow is how many bytes one may have.
	sample, outOf = 50, 200
	largestRow    = 16 << 10
	// mostValues is how many values a statement takes.
	mostValues = 65535
)

// insertion is how a table takes rows like those that it had: as an application that knows
// the table as it was then writes them. GET requests tell nothing of that.
type insertion struct {
	schema, table string
	// columns are those without a default; the others are left to the database.
	columns []string
	// rows are texts as PostgreSQL writes and reads them; nil is NULL.
	rows [][][]byte
	// refused is PostgreSQL's word for why one of them was not taken; deletes are the
	// tables of which it deleted rows.
	refused string
	deletes []string
}

// elsewhere says in SQL that a part of a relation c is a foreign table: another server
// has its rows, which cannot be reached from here.
const elsewhere = `EXISTS (WITH RECURSIVE tree AS (SELECT c.oid UNION SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = tree.oid)
	SELECT FROM tree JOIN pg_class part ON part.oid = tree.oid WHERE part.relkind = 'f')`

// tryInserts writes rows of every table to it again, and takes that back.
func tryInserts(ctx context.Context, c *pgx.Conn) ([]insertion, error) {
	found, err := c.Query(ctx, `SELECT n.nspname, c.relname, coalesce(array_agg(a.attname::text ORDER BY a.attnum)
				FILTER (WHERE NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''), '{}')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT `+elsewhere+` AND `+ofUsers+`
		GROUP BY 1, 2 ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("list the columns: %w", err)
	}
	all, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (i insertion, err error) {
		return i, row.Scan(&i.schema, &i.table, &i.columns)
	})
	if err != nil {
		return nil, fmt.Errorf("list the columns: %w", err)
	}
	for i := range all {
		if all[i].rows, err = sampleOf(ctx, c, all[i]); err != nil {
			return nil, err
		}
		if err := all[i].try(ctx, c); err != nil {
			return nil, err
		}
	}
	// Rows that were written count, although that was taken back: from now on and not
	// later. Servers before version 15 do not know this.
	_, _ = c.Exec(ctx, "SELECT pg_stat_force_next_flush()")
	return all, ctx.Err()
}

// tryAgain writes the same rows to the tables as they are now. Columns that are gone are
// left out: whether anybody misses them only requests can tell. It returns those that have
// not been refused before.
func tryAgain(ctx context.Context, c *pgx.Conn, before []insertion) (now []insertion, err error) {
	for _, was := range before {
		if was.refused != "" {
			continue
		}
		var left []string
		err := c.QueryRow(ctx, `SELECT coalesce(array_agg(attname::text), '{}') FROM pg_attribute
			WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, pgx.Identifier{was.schema, was.table}.Sanitize()).Scan(&left)
		if err != nil {
			return nil, fmt.Errorf("list the columns of %s: %w", was.table, err)
		}
		if len(left) == 0 {
			continue // the table is gone, which is told
		}
		is := insertion{schema: was.schema, table: was.table, rows: make([][][]byte, len(was.rows))}
		for at, column := range was.columns {
			if !slices.Contains(left, column) {
				continue
			}
			is.columns = append(is.columns, column)
			for row := range was.rows {
				is.rows[row] = append(is.rows[row], was.rows[row][at])
			}
		}
		if err := is.try(ctx, c); err != nil {
			return nil, err
		}
		is.deletes = slices.DeleteFunc(is.deletes, func(table string) bool { return slices.Contains(was.deletes, table) })
		now = append(now, is)
	}
	return now, nil
}

// sampleOf returns some rows of a table.
func sampleOf(ctx context.Context, c *pgx.Conn, i insertion) (rows [][][]byte, err error) {
	columns, size := []string{"NULL"}, []string{"0"}
	if len(i.columns) > 0 {
		columns = nil
	}
	for _, column := range i.columns {
		quoted := pgx.Identifier{column}.Sanitize()
		columns = append(columns, quoted+"::text")
		// As it is stored: as a text a row may be larger than PostgreSQL can make one.
		size = append(size, "coalesce(pg_column_size("+quoted+"), 0)::bigint")
	}
	query := fmt.Sprintf("SELECT %s FROM (SELECT * FROM %s LIMIT %d) AS rows WHERE %s < %d LIMIT %d",
		strings.Join(columns, ", "), pgx.Identifier{i.schema, i.table}.Sanitize(), outOf, strings.Join(size, " + "), largestRow, min(sample, mostValues/len(columns)))
	result := c.PgConn().ExecParams(ctx, query, nil, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, fmt.Errorf("read rows of %s: %w", inPublic(i.schema, i.table), result.Err)
	}
	for _, row := range result.Rows {
		rows = append(rows, row[:len(i.columns)])
	}
	return rows, nil
}

// try writes the rows in a transaction that it rolls back, and notes what becomes of them.
func (i *insertion) try(ctx context.Context, c *pgx.Conn) (err error) {
	if len(i.rows) == 0 {
		return nil
	}
	name := inPublic(i.schema, i.table)
	transaction, err := c.Begin(ctx)
	if err != nil {
		return fmt.Errorf("write rows of %s again: %w", name, err)
	}
	defer func() {
		if failed := transaction.Rollback(ctx); err == nil && failed != nil {
			err = fmt.Errorf("write rows of %s again: %w", name, failed)
		}
	}()
	err = i.write(ctx, transaction)
	var refusal *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refusal):
		return fmt.Errorf("write rows of %s again: %w", name, err)
	case refusal.Code == "57014", refusal.Code == "55P03": // it took too long, which tells nothing
		return nil
	case refusal.Code == "23505", refusal.Code == "23P01": // it is there already, and the constraint may be put off
		return nil
	}
	i.refused = refusal.Message
	return nil
}

func (i *insertion) write(ctx context.Context, t pgx.Tx) error {
	if _, err := t.Exec(ctx, "SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '2s'"); err != nil {
		return err
	}
	before, err := deletions(ctx, t)
	if err != nil {
		return err
	}
	statement := "INSERT INTO " + pgx.Identifier{i.schema, i.table}.Sanitize()
	var values [][]byte
	if len(i.columns) == 0 {
		statement += " DEFAULT VALUES"
	} else {
		var columns, rows []string
		for _, column := range i.columns {
			columns = append(columns, pgx.Identifier{column}.Sanitize())
		}
		for _, row := range i.rows {
			var places []string
			for _, value := range row {
				values = append(values, value)
				places = append(places, fmt.Sprintf("$%d", len(values)))
			}
			rows = append(rows, "("+strings.Join(places, ", ")+")")
		}
		statement += " (" + strings.Join(columns, ", ") + ") VALUES " + strings.Join(rows, ", ")
	}
	// A row whose key is not left to the database conflicts with itself.
	statement += " ON CONFLICT DO NOTHING"
	if result := t.Conn().PgConn().ExecParams(ctx, statement, values, nil, nil, nil).Read(); result.Err != nil {
		return result.Err
	}
	// What is put off until the end of a transaction.
	if _, err := t.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		return err
	}
	after, err := deletions(ctx, t)
	for table, n := range after {
		if n > before[table] {
			i.deletes = append(i.deletes, table)
		}
	}
	slices.Sort(i.deletes)
	return err
}

// deletions is how many rows of each table this session has deleted, as far as it has not
// yet told the others.
func deletions(ctx context.Context, t pgx.Tx) (map[string]int64, error) {
	rows, err := t.Query(ctx, `SELECT n.nspname, c.relname, pg_stat_get_xact_tuples_deleted(c.oid)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND `+ofUsers)
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	var schema, table string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&schema, &table, &n}, func() error {
		all[inPublic(schema, table)] = n
		return nil
	})
	return all, err
}

// compareWrites says which tables take rows otherwise than before.
func compareWrites(now []insertion, before, after []sequence) (changed []Write) {
	for _, i := range now {
		if i.refused != "" || len(i.deletes) > 0 {
			changed = append(changed, Write{Table: inPublic(i.schema, i.table), Refused: i.refused, Deletes: i.deletes})
		}
	}
	for _, is := range after {
		was := slices.IndexFunc(before, func(s sequence) bool { return s.table == is.table && s.column == is.column })
		if is.taken() && (was < 0 || !before[was].taken()) {
			changed = append(changed, Write{Table: is.table, Refused: fmt.Sprintf("the next value of %s is %d, and there are values up to %d", is.column, is.next, is.highest)})
		}
	}
	return changed
}
