// Package anonymize removes personal data from a copy of a PostgreSQL database: it
// masks the named columns, and then searches the whole copy for their original values.
// A preview's database is masked before anybody can connect to it.
//
// berth.yaml names the columns and their masks. Names are looked up in the catalog and
// quoted, values are parameters.
package anonymize

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"berth/internal/fault"
)

// Email and Null are the masks that are no text of their own; see [Masks].
const (
	Email = "email"
	Null  = ""
)

// nobody is what the addresses of [Email] end with: a name that never exists (RFC 6761).
const nobody = "@example.invalid"

// Masks are the masks of columns, by table.column of the schema public or
// schema.table.column: [Email] for an address that does not exist, [Null] for NULL,
// and any other text for itself. NULL stays NULL. Unique values stay unique, and
// equal addresses stay equal in all columns.
type Masks map[string]string

// A Result says what Apply has done.
type Result struct {
	// Rows is how many rows were changed, by column.
	Rows map[string]int64 `json:"rows"`
	// Values is how many different ones were searched for, in Searched bytes.
	Values   int   `json:"values"`
	Searched int64 `json:"searched"`
}

// column is one that is masked.
type column struct {
	name, mask            string
	schema, table, column string
	// text says that its values are texts, which can be found again elsewhere; folds,
	// that it takes those for equal that differ in case.
	text, notNull, unique, folds bool
}

func (c column) relation() string { return pgx.Identifier{c.schema, c.table}.Sanitize() }
func (c column) quoted() string   { return pgx.Identifier{c.column}.Sanitize() }

// Apply masks a database, as its superuser; nobody else may be connected to it. It
// fails with [*Found] when a masked value is somewhere else too. The database must
// not be used then.
func Apply(ctx context.Context, c *pgx.Conn, masks Masks) (*Result, error) {
	var columns []column
	var unknown []error
	for _, name := range slices.Sorted(maps.Keys(masks)) {
		found, err := lookUp(ctx, c, name, masks[name])
		if err != nil {
			unknown = append(unknown, err)
			continue
		}
		columns = append(columns, found)
	}
	if err := errors.Join(unknown...); err != nil {
		return nil, err
	}
	if err := agree(ctx, c, columns); err != nil {
		return nil, err
	}
	// The functions of generated columns, indexes and views may need the database's own.
	if _, err := c.Exec(ctx, "SET search_path TO DEFAULT"); err != nil {
		return nil, err
	}
	values := newNeedles(masks)
	for _, one := range columns {
		if err := one.collect(ctx, c, values); err != nil {
			return nil, fmt.Errorf("read %s: %w", one.name, err)
		}
	}
	result := &Result{Rows: map[string]int64{}, Values: values.count()}
	if err := change(ctx, c, columns, result); err != nil {
		return nil, err
	}
	if err := forget(ctx, c, columns); err != nil {
		return nil, err
	}
	var err error
	result.Searched, err = search(ctx, c, values)
	return result, err
}

// lookUp finds a column in the catalog.
func lookUp(ctx context.Context, c *pgx.Conn, name, mask string) (column, error) {
	found := column{name: name, mask: mask, schema: "public"}
	parts := strings.Split(name, ".")
	if len(parts) == 3 {
		found.schema, parts = parts[0], parts[1:]
	}
	if len(parts) != 2 {
		return found, fault.Usage("mask %q: it must be table.column, or schema.table.column", name)
	}
	found.table, found.column = parts[0], parts[1]
	var generated, foreign bool
	// Partitions and children have their own indexes. One that excludes what is equal
	// counts like a unique one.
	err := c.QueryRow(ctx, `
		WITH RECURSIVE tree AS (
			SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
			UNION SELECT c.oid, c.relkind FROM tree JOIN pg_inherits ON inhparent = tree.oid JOIN pg_class c ON c.oid = inhrelid)
		SELECT a.attnotnull, t.typcategory = 'S', a.attgenerated <> '' OR a.attidentity = 'a', EXISTS (
			SELECT FROM pg_index i JOIN tree ON tree.oid = i.indrelid JOIN pg_attribute own ON own.attrelid = i.indrelid AND own.attname = $3
			WHERE (i.indisunique OR i.indisexclusion) AND (own.attnum = ANY (i.indkey) OR EXISTS (
				SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
				AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = own.attnum))),
			t.typname = 'citext' OR NOT coalesce((SELECT collisdeterministic FROM pg_collation l WHERE l.oid = a.attcollation), true),
			EXISTS (SELECT FROM tree WHERE relkind = 'f')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		JOIN pg_type t ON t.oid = a.atttypid
		WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND c.relkind IN ('r', 'p')`,
		found.schema, found.table, found.column).Scan(&found.notNull, &found.text, &generated, &found.unique, &found.folds, &foreign)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return found, found.unknown(ctx, c)
	case err != nil:
		return found, fmt.Errorf("look for column %s: %w", name, err)
	case generated:
		return found, fmt.Errorf("mask %s: its values are generated by the database", name)
	case foreign:
		// A change would reach the server that it is of.
		return found, fault.WithHint(fmt.Errorf("mask %s: a part of it is a foreign table, whose rows are elsewhere", name), "leave it out of previews.mask, or detach the foreign table")
	case mask == Null && found.notNull:
		return found, fmt.Errorf("mask %s: it cannot be null there, as the column is NOT NULL", name)
	case mask != Null && !found.text:
		return found, fmt.Errorf("mask %s: the column holds no text, so null is all that can stand there", name)
	}
	return found, nil
}

// unknown is the error of a column that is not there, with those that may be meant.
func (c column) unknown(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		SELECT n.nspname || '.' || c.relname || '.' || a.attname, c.relkind::text, n.nspname = $1 AND c.relname = $2 AND a.attname = $3
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE lower(c.relname) = lower($2) AND lower(a.attname) = lower($3) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
		AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`, c.schema, c.table, c.column)
	if err != nil {
		return fmt.Errorf("look for column %s: %w", c.name, err)
	}
	var alike []string
	var name, kind string
	var same bool
	of := ""
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &same}, func() error {
		if same {
			of = kind
		} else if kind == "r" || kind == "p" {
			alike = append(alike, name)
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("look for column %s: %w", c.name, err)
	case of == "f":
		return fault.WithHint(fmt.Errorf("mask %s: it is of a foreign table, whose rows are elsewhere", c.name), "leave it out of previews.mask")
	case of != "":
		return fault.WithHint(fmt.Errorf("mask %s: it is of a view", c.name), "mask the columns of the tables that the view is made of")
	case len(alike) > 0:
		return fault.WithHint(fmt.Errorf("mask %s: the database has no such column", c.name), "in previews.mask, did you mean %s?", strings.Join(alike, ", or "))
	}
	return fault.WithHint(fmt.Errorf("mask %s: the database has no such column", c.name), "correct previews.mask in berth.yaml, or leave it out")
}

// agree sees to it that what references a masked column goes on doing so: foreign keys do
// not act while the columns change.
func agree(ctx context.Context, c *pgx.Conn, columns []column) error {
	rows, err := c.Query(ctx, `
		SELECT n.nspname, c.relname, a.attname, rn.nspname, rc.relname, ra.attname
		FROM pg_constraint k CROSS JOIN unnest(conkey, confkey) key (own, referenced)
		JOIN pg_class c ON c.oid = conrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = key.own
		JOIN pg_class rc ON rc.oid = confrelid JOIN pg_namespace rn ON rn.oid = rc.relnamespace JOIN pg_attribute ra ON ra.attrelid = rc.oid AND ra.attnum = key.referenced
		WHERE contype = 'f' AND conparentid = 0 ORDER BY 1, 2, 3`)
	if err != nil {
		return fmt.Errorf("read the foreign keys: %w", err)
	}
	find := func(schema, table, name string) *column {
		for i, one := range columns {
			if one.schema == schema && one.table == table && one.column == name {
				return &columns[i]
			}
		}
		return nil
	}
	var disagree []error
	var from, to [3]string
	_, err = pgx.ForEachRow(rows, []any{&from[0], &from[1], &from[2], &to[0], &to[1], &to[2]}, func() error {
		own, referenced := find(from[0], from[1], from[2]), find(to[0], to[1], to[2])
		switch {
		case own == nil && referenced == nil, own != nil && own.mask == Null:
		case own != nil && referenced != nil && own.mask == referenced.mask:
			// Both get the digest of the value after a text.
			own.unique = own.unique || referenced.unique
			own.folds, referenced.folds = own.folds || referenced.folds, own.folds || referenced.folds
		default:
			disagree = append(disagree, fault.WithHint(fmt.Errorf("mask: %s references %s, and both must have the same mask", strings.Join(from[:], "."), strings.Join(to[:], ".")),
				"name both in previews.mask"))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the foreign keys: %w", err)
	}
	return errors.Join(disagree...)
}

// collect notes the values that must not be found again.
func (c column) collect(ctx context.Context, conn *pgx.Conn, values *needles) error {
	if !c.text {
		return nil
	}
	rows, err := conn.Query(ctx, "SELECT DISTINCT "+c.quoted()+"::text FROM "+c.relation()+" WHERE "+c.quoted()+" IS NOT NULL")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values.add(rows.RawValues()[0], c.name)
	}
	return rows.Err()
}

// change replaces the values. Triggers and foreign keys do not act: they would note or
// refuse what is only a change of the copy.
func change(ctx context.Context, c *pgx.Conn, columns []column, result *Result) error {
	// A key that is used once and known to nobody keeps values from being guessed by it.
	key := rand.Text()
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
			return fmt.Errorf("mask: turn off triggers: %w", err)
		}
		enable, err := disable(ctx, tx, columns)
		if err != nil {
			return fmt.Errorf("mask: turn off triggers: %w", err)
		}
		for _, one := range columns {
			set, arguments := one.replacement(key)
			tag, err := tx.Exec(ctx, "UPDATE "+one.relation()+" SET "+one.quoted()+" = "+set+" WHERE "+one.quoted()+" IS NOT NULL", arguments...)
			var refused *pgconn.PgError
			if errors.As(err, &refused) && (strings.HasPrefix(refused.Code, "22") || strings.HasPrefix(refused.Code, "23")) { // data exception, constraint violation
				err = fault.WithHint(err, "choose a mask that the column accepts")
			}
			if err != nil {
				return fmt.Errorf("mask %s: %w", one.name, err)
			}
			result.Rows[one.name] = tag.RowsAffected()
		}
		for _, statement := range enable {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("mask: turn triggers on again: %w", err)
			}
		}
		return nil
	})
}

// disable turns off the triggers and rules that act for a replica, too, and returns what
// turns them on again.
func disable(ctx context.Context, tx pgx.Tx, columns []column) (enable []string, err error) {
	var masked []string
	for _, one := range columns {
		masked = append(masked, one.relation())
	}
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE tree AS (SELECT name::regclass::oid AS oid FROM unnest($1::text[]) name UNION SELECT inhrelid FROM tree JOIN pg_catalog.pg_inherits ON inhparent = tree.oid)
		SELECT n.nspname, c.relname, 'TRIGGER', tgname, tgenabled::text FROM tree JOIN pg_catalog.pg_trigger ON tgrelid = tree.oid JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE tgenabled IN ('A', 'R') AND NOT tgisinternal
		UNION ALL SELECT n.nspname, c.relname, 'RULE', rulename, ev_enabled::text FROM tree JOIN pg_catalog.pg_rewrite ON ev_class = tree.oid JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE ev_enabled IN ('A', 'R')`, masked)
	if err != nil {
		return nil, err
	}
	var disable []string
	var schema, table, kind, name, enabled string
	_, err = pgx.ForEachRow(rows, []any{&schema, &table, &kind, &name, &enabled}, func() error {
		alter := "ALTER TABLE " + pgx.Identifier{schema, table}.Sanitize()
		what := kind + " " + pgx.Identifier{name}.Sanitize()
		disable = append(disable, alter+" DISABLE "+what)
		enable = append(enable, alter+" ENABLE "+map[string]string{"A": "ALWAYS", "R": "REPLICA"}[enabled]+" "+what)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, statement := range disable {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	return enable, nil
}

// replacement is the expression of a mask, and its parameters. A value's keyed digest
// tells nothing of it, and differs where values do.
func (c column) replacement(key string) (string, []any) {
	value := c.quoted() + "::text"
	if c.folds {
		value = "lower(" + value + ")"
	}
	digest := "left(encode(sha256(convert_to($1::text || " + value + ", 'UTF8')), 'hex'), 20)"
	switch {
	case c.mask == Null:
		return "NULL", nil
	case c.mask == Email:
		return digest + " || $2::text", []any{key, nobody}
	case c.unique:
		return "$2::text || ' ' || " + digest, []any{key, c.mask}
	}
	return "$1::text", []any{c.mask}
}

// forget has the server forget what it has noted of the values: the rows' earlier
// versions, statistics, and views that hold rows of their own.
func forget(ctx context.Context, c *pgx.Conn, columns []column) error {
	var tables []string
	for _, one := range columns {
		if !slices.Contains(tables, one.relation()) {
			tables = append(tables, one.relation())
		}
	}
	for _, table := range tables {
		if _, err := c.Exec(ctx, "VACUUM (FULL, ANALYZE) "+table); err != nil {
			return fmt.Errorf("rewrite %s: %w", table, err)
		}
	}
	views, err := relations(ctx, c, "m")
	if err != nil {
		return err
	}
	for _, view := range views {
		if _, err := c.Exec(ctx, "REFRESH MATERIALIZED VIEW "+view.quoted()); err != nil {
			return fault.WithHint(fmt.Errorf("refresh %s: %w", view.quoted(), err), "choose masks that this materialized view can be made of")
		}
	}
	return nil
}
