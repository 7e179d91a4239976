package rehearsal

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// sequence is one that gives a column its values, which must differ.
type sequence struct {
	table, column string
	// next is what it gives next, highest the highest of the column.
	next, highest int64
}

// taken reports whether the next row gets a value that is there.
func (s sequence) taken() bool { return s.next <= s.highest }

// readSequences reads the sequences that count upwards for a column that is a key by
// itself.
func readSequences(ctx context.Context, c *pgx.Conn) (all []sequence, err error) {
	found, err := c.Query(ctx, `WITH used AS (
			SELECT ad.adrelid AS relation, ad.adnum AS number, d.refobjid AS sequence FROM pg_attrdef ad
				JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid AND d.refclassid = 'pg_class'::regclass
			UNION SELECT refobjid, refobjsubid::smallint, objid FROM pg_depend
				WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype = 'i' AND refobjsubid > 0)
		SELECT n.nspname, c.relname, a.attname, q.nspname, s.relname
		FROM used JOIN pg_class c ON c.oid = used.relation JOIN pg_namespace n ON n.oid = c.relnamespace
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = used.number AND NOT a.attisdropped
			JOIN pg_class s ON s.oid = used.sequence JOIN pg_namespace q ON q.oid = s.relnamespace
			JOIN pg_sequence p ON p.seqrelid = s.oid AND p.seqincrement > 0
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT `+elsewhere+` AND `+ofUsers+`
			AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
			AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
		ORDER BY 1, 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("list the sequences: %w", err)
	}
	type names struct{ schema, table, column, where, sequence string }
	used, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (n names, err error) {
		return n, row.Scan(&n.schema, &n.table, &n.column, &n.where, &n.sequence)
	})
	if err != nil {
		return nil, fmt.Errorf("list the sequences: %w", err)
	}
	for _, n := range used {
		s := sequence{table: inPublic(n.schema, n.table), column: n.column}
		query := fmt.Sprintf("SELECT (SELECT last_value + CASE WHEN is_called AND last_value < 9223372036854775807 THEN 1 ELSE 0 END FROM %s), coalesce((SELECT max(%s) FROM %s), 0)::bigint",
			pgx.Identifier{n.where, n.sequence}.Sanitize(), pgx.Identifier{n.column}.Sanitize(), pgx.Identifier{n.schema, n.table}.Sanitize())
		if err := c.QueryRow(ctx, query).Scan(&s.next, &s.highest); err != nil {
			return nil, fmt.Errorf("read the sequence of %s.%s: %w", s.table, s.column, err)
		}
		all = append(all, s)
	}
	return all, nil
}
