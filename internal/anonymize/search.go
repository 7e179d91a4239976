package anonymize

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
)

// Found is why a database is not fit to be used: columns hold what was masked elsewhere.
type Found struct{ Columns []Leak }

// Leak is a column that holds masked values of others.
type Leak struct {
	Column string
	Rows   int64
	// Of is a masked column that one of the values is from.
	Of string
}

func (f *Found) Error() string {
	var all []string
	for _, l := range f.Columns {
		rows := "a row"
		if l.Rows > 1 {
			rows = fmt.Sprintf("%d rows", l.Rows)
		}
		all = append(all, fmt.Sprintf("%s of %s holds what %s held", rows, l.Column, l.Of))
	}
	return "masked values are found elsewhere: " + strings.Join(all, "; ")
}

// Values shorter than shortest are too common to tell anything by, and are not searched
// for. Those shorter than gram are found where they are all that a field holds, longer
// ones within a field too.
const (
	shortest = 4
	gram     = 8
)

// needles are the values to search for. Case does not matter.
type needles struct {
	// of says by value which column it is from; values is how many there are, without
	// the forms that they have within JSON and rows.
	of     map[string]string
	values int
	// lengths of the values by their first bytes; seen rules out most others at once.
	lengths map[uint64][]int
	seen    []uint64
	lower   []byte
	// masks are what stands in the columns now: a value that is a part of one is no
	// secret.
	masks []string
}

const seenBits = 1 << 22

func newNeedles(masks Masks) *needles {
	n := &needles{of: map[string]string{}, lengths: map[uint64][]int{}, seen: make([]uint64, seenBits/64), masks: []string{nobody}}
	for _, mask := range masks {
		n.masks = append(n.masks, string(n.fold([]byte(mask))))
	}
	return n
}

func (n *needles) count() int { return n.values }

func slot(first uint64) uint64 { return first * 0x9e3779b97f4a7c15 >> (64 - 22) }

func (n *needles) add(value []byte, from string) {
	text := strings.TrimSpace(string(value))
	if !n.addForm(text, from) {
		return
	}
	n.values++
	for _, form := range forms(text) {
		n.addForm(form, from)
	}
}

// forms are how a text stands within JSON, in arrays and in rows, where that differs:
// with its quotes escaped, and with other characters than ASCII as \u00fc.
func forms(text string) (all []string) {
	if strings.ContainsAny(text, "\"\\\n\t") {
		all = append(all, strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\t", `\t`).Replace(text), strings.NewReplacer(`"`, `""`, `\`, `\\`).Replace(text))
	}
	if utf8.ValidString(text) && strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		var b strings.Builder
		for _, unit := range utf16.Encode([]rune(text)) {
			switch {
			case unit >= utf8.RuneSelf:
				fmt.Fprintf(&b, `\u%04x`, unit)
			case unit == '"' || unit == '\\':
				b.WriteByte('\\')
				b.WriteByte(byte(unit))
			default:
				b.WriteByte(byte(unit))
			}
		}
		all = append(all, b.String())
	}
	return all
}

// addForm adds a text, and reports whether it was not there and is worth searching for.
func (n *needles) addForm(text, from string) bool {
	folded := string(n.fold([]byte(text)))
	if _, known := n.of[folded]; known || len(folded) < shortest || slices.ContainsFunc(n.masks, func(mask string) bool { return strings.Contains(mask, folded) }) {
		return false
	}
	n.of[folded] = from
	if len(folded) < gram {
		return true
	}
	first := binary.LittleEndian.Uint64([]byte(folded[:gram]))
	n.seen[slot(first)/64] |= 1 << (slot(first) % 64)
	if lengths := n.lengths[first]; !slices.Contains(lengths, len(folded)) {
		n.lengths[first] = append(lengths, len(folded))
	}
	return true
}

// fold lowers the case. What it returns lasts until the next call.
func (n *needles) fold(text []byte) []byte {
	n.lower = append(n.lower[:0], text...)
	ascii := true
	for i, b := range n.lower {
		if 'A' <= b && b <= 'Z' {
			n.lower[i] = b + 'a' - 'A'
		}
		ascii = ascii && b < utf8.RuneSelf
	}
	if !ascii && utf8.Valid(n.lower) {
		return bytes.ToLower(n.lower)
	}
	return n.lower
}

// in returns the column that a value within a field is from, or "".
func (n *needles) in(field []byte) string {
	if len(field) < shortest || len(n.of) == 0 {
		return ""
	}
	text := n.fold(field)
	if from, whole := n.of[string(text)]; whole {
		return from
	}
	for i := 0; i+gram <= len(text); i++ {
		first := binary.LittleEndian.Uint64(text[i:])
		if n.seen[slot(first)/64]&(1<<(slot(first)%64)) == 0 {
			continue
		}
		for _, length := range n.lengths[first] {
			if i+length > len(text) {
				continue
			}
			if from, found := n.of[string(text[i:i+length])]; found {
				return from
			}
		}
	}
	return ""
}

// relation is a table or view of the database.
type relation struct {
	schema, name string
	// columns by name; those that are bytea are searched as they are.
	columns []string
	raw     []bool
}

func (r relation) quoted() string { return pgx.Identifier{r.schema, r.name}.Sanitize() }

// search looks for values in every field of the database, and says in how many bytes.
func search(ctx context.Context, c *pgx.Conn, values *needles) (searched int64, err error) {
	all, err := relations(ctx, c, "r", "m")
	if err != nil {
		return 0, err
	}
	found := &Found{}
	for _, r := range all {
		bytes, leaks, err := r.search(ctx, c, values)
		if err != nil {
			return searched, fmt.Errorf("search %s for what was masked: %w", r.quoted(), err)
		}
		searched += bytes
		found.Columns = append(found.Columns, leaks...)
	}
	bytes, leaks, err := searchLargeObjects(ctx, c, values)
	if err != nil {
		return searched, fmt.Errorf("search large objects for what was masked: %w", err)
	}
	searched += bytes
	found.Columns = append(found.Columns, leaks...)
	if len(found.Columns) > 0 {
		return searched, fault.WithHint(found, "name these columns in previews.mask too")
	}
	return searched, nil
}

func (r relation) search(ctx context.Context, c *pgx.Conn, values *needles) (searched int64, leaks []Leak, err error) {
	fields := make([]string, len(r.columns))
	for i, name := range r.columns {
		fields[i] = pgx.Identifier{name}.Sanitize()
		if !r.raw[i] {
			fields[i] += "::text"
		}
	}
	names := func(i int) string { return r.schema + "." + r.name + "." + r.columns[i] }
	return searchRows(ctx, c, values, "SELECT "+strings.Join(fields, ", ")+" FROM ONLY "+r.quoted(), len(fields), names)
}

// relations returns those of some kinds, without the server's own, in the order in which
// they were made: one that depends on another comes later.
func relations(ctx context.Context, c *pgx.Conn, kinds ...string) ([]relation, error) {
	rows, err := c.Query(ctx, `
		SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum), array_agg(a.atttypid = 'pg_catalog.bytea'::regtype ORDER BY a.attnum)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind::text = ANY ($1) AND c.relispopulated AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp%'
		GROUP BY c.oid, n.nspname, c.relname ORDER BY c.oid`, kinds)
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r relation, err error) {
		err = row.Scan(&r.schema, &r.name, &r.columns, &r.raw)
		return r, err
	})
}

func searchLargeObjects(ctx context.Context, c *pgx.Conn, values *needles) (int64, []Leak, error) {
	return searchRows(ctx, c, values, "SELECT data FROM pg_catalog.pg_largeobject", 1, func(int) string { return "large objects" })
}

func searchRows(ctx context.Context, c *pgx.Conn, values *needles, query string, fields int, name func(int) string) (searched int64, leaks []Leak, err error) {
	counts, of := make([]int64, fields), make([]string, fields)
	rows, err := c.Query(ctx, query)
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		for i, field := range rows.RawValues() {
			searched += int64(len(field))
			if from := values.in(field); from != "" {
				counts[i]++
				of[i] = from
			}
		}
	}
	for i, rows := range counts {
		if rows > 0 {
			leaks = append(leaks, Leak{name(i), rows, of[i]})
		}
	}
	return searched, leaks, rows.Err()
}
