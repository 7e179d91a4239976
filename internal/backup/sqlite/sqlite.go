// Package sqlite copies and reads SQLite databases for package backup. It is
// apart because it holds SQLite itself, which only the backup job needs.
package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"berth/internal/backup"
	"berth/internal/fault"
)

// Engine is SQLite.
type Engine struct{}

// location is the URI of a file, with parameters of SQLite and pragmas.
func location(path, parameters string) string {
	return "file:" + url.PathEscape(path) + "?" + parameters
}

// Copy copies a database by SQLite's online backup, as it is at one moment, while
// others read and write it. The destination is replaced in one transaction; if that
// is interrupted, it does not change. See https://www.sqlite.org/backup.html.
//
// A destination in WAL mode cannot take pages of another size. It leaves that mode for
// the time, which nobody else may have it open for.
func (e Engine) Copy(ctx context.Context, from, to string) error {
	err := e.copy(ctx, from, to)
	var code *sqlite.Error
	if !errors.As(err, &code) || code.Code()&0xff != sqlite3.SQLITE_READONLY {
		return err
	}
	sizes, mode, askErr := pages(ctx, from, to)
	if askErr != nil || sizes[0] == sizes[1] || mode != "wal" {
		return err
	}
	if err := setJournal(ctx, to, "delete"); err != nil {
		return fault.WithHint(fmt.Errorf("copy pages of %d bytes over %s, which has pages of %d: %w", sizes[0], to, sizes[1], err),
			"stop the application: while it has the database open, the size of its pages cannot change")
	}
	return errors.Join(e.copy(ctx, from, to), setJournal(ctx, to, mode))
}

// pages returns the sizes of two databases' pages, and the second one's journal mode.
func pages(ctx context.Context, paths ...string) (sizes [2]int, mode string, err error) {
	for i, path := range paths {
		db, err := sql.Open("sqlite", location(path, "mode=rw&_pragma=busy_timeout(30000)"))
		if err != nil {
			return sizes, mode, err
		}
		err = db.QueryRowContext(ctx, "PRAGMA page_size").Scan(&sizes[i])
		if err == nil {
			err = db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			return sizes, mode, err
		}
	}
	return sizes, mode, nil
}

// setJournal changes the journal mode of a database.
func setJournal(ctx context.Context, path, mode string) (err error) {
	db, err := sql.Open("sqlite", location(path, "mode=rw&_pragma=busy_timeout(5000)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var now string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode="+mode).Scan(&now); err != nil {
		return err
	}
	if now != mode {
		return fmt.Errorf("its journal mode stays %s", now)
	}
	return nil
}

func (Engine) copy(ctx context.Context, from, to string) error {
	// mode=rw keeps SQLite from making a database where there is none.
	db, err := sql.Open("sqlite", location(from, "mode=rw&_pragma=busy_timeout(30000)"))
	if err != nil {
		return fmt.Errorf("open %s: %w", from, err)
	}
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open %s: %w", from, err)
	}
	defer c.Close()
	err = c.Raw(func(driver any) error {
		source, ok := driver.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("the driver has no online backup")
		}
		copying, err := source.NewBackup(location(to, "_pragma=busy_timeout(30000)"))
		if err != nil {
			return err
		}
		// All pages at once: a writer between two steps would make it begin again.
		_, err = copying.Step(-1)
		return errors.Join(err, copying.Finish())
	})
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}

// Read checks a database that nobody writes to (PRAGMA integrity_check), and
// returns SQLite's version and what is in it. An error of a database that is not
// sound wraps [backup.ErrUnsound].
func (Engine) Read(ctx context.Context, path string) (version string, c backup.Contents, err error) {
	// Immutable: the copy has no write-ahead log and must get none.
	db, err := sql.Open("sqlite", location(path, "mode=ro&immutable=1"))
	if err != nil {
		return "", c, fmt.Errorf("open %s: %w", path, err)
	}
	defer db.Close()
	version, c, err = read(ctx, db)
	var code *sqlite.Error
	if errors.As(err, &code) && (code.Code()&0xff == sqlite3.SQLITE_CORRUPT || code.Code()&0xff == sqlite3.SQLITE_NOTADB) {
		err = fmt.Errorf("%w: %w", backup.ErrUnsound, err)
	}
	if err != nil {
		return "", c, fmt.Errorf("read %s: %w", path, err)
	}
	return version, c, nil
}

func read(ctx context.Context, db *sql.DB) (version string, c backup.Contents, err error) {
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return "", c, err
	}
	unchecked, err := check(ctx, db)
	if err != nil {
		return "", c, err
	}
	schema := xxhash.New()
	definitions, err := count(ctx, db, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name", func(row []byte) { _, _ = schema.Write(row) }) // never fails
	if err != nil {
		return "", c, err
	}
	c = backup.Contents{Unchecked: unchecked, Schema: fmt.Sprintf("%016x", schema.Sum64()), Tables: make(map[string]backup.Table, definitions)}
	// A virtual table keeps its rows in shadow tables, which are counted.
	names, err := texts(ctx, db, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND name <> 'sqlite_schema'")
	if err != nil {
		return "", c, err
	}
	for _, name := range names {
		columns, err := texts(ctx, db, "SELECT name FROM pragma_table_info(?)", name)
		if err != nil {
			return "", c, err
		}
		for i, column := range columns {
			columns[i] = "+" + quote(column) // As it is stored: the driver would make times of what is declared so.
		}
		var rows backup.Digest
		if _, err := count(ctx, db, "SELECT "+strings.Join(columns, ", ")+" FROM "+quote(name), rows.Add); err != nil {
			return "", c, fmt.Errorf("table %s: %w", name, err)
		}
		c.Tables[backup.TableName("main", name)] = rows.Table()
	}
	return version, c, nil
}

// check looks for damage. SQLite compares a table with its indexes only if it has the
// collations and functions that these use, which may be the application's own; what
// it could not check is returned. Rows that break a constraint are no damage: they are
// as the application has them, and are returned, too.
func check(ctx context.Context, db *sql.DB) (unchecked []string, err error) {
	unchecked, err = integrity(ctx, db, everything)
	if !isApplications(err) {
		return unchecked, err
	}
	unchecked = nil
	names, err := texts(ctx, db, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow')")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		broken, err := integrity(ctx, db, quote(name))
		unchecked = append(unchecked, broken...)
		if isApplications(err) {
			unchecked = append(unchecked, fmt.Sprintf("the indexes and constraints of table %s were not checked: %v", name, err))
		} else if err != nil {
			return nil, err
		}
	}
	return unchecked, nil
}

// everything is how many findings integrity_check gives at most: it stops there.
const everything = "2147483647"

// broken matches what integrity_check says of a row that breaks a constraint, which was
// not checked when it was written.
var broken = regexp.MustCompile(`^(NULL|NUMERIC|TEXT|non-[A-Z]+) value in |^CHECK constraint failed in `)

// integrity is PRAGMA integrity_check, of so many findings or of a table.
func integrity(ctx context.Context, db *sql.DB, of string) (constraints []string, err error) {
	rows, err := db.QueryContext(ctx, "PRAGMA integrity_check("+of+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var found string
		switch err := rows.Scan(&found); {
		case err != nil:
			return nil, err
		case found == "ok":
		case isApplications(errors.New(found)):
			return nil, errors.New(found)
		case !broken.MatchString(found):
			return nil, fmt.Errorf("%w: %s", backup.ErrUnsound, found)
		case !slices.Contains(constraints, found):
			constraints = append(constraints, found)
		}
	}
	return constraints, rows.Err()
}

// isApplications reports whether what is amiss is something of the application's own
// that SQLite does not have here.
func isApplications(err error) bool {
	if err == nil {
		return false
	}
	for _, words := range []string{"no such collation sequence", "unknown function", "no such function", "no such module"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func texts(ctx context.Context, db *sql.DB, query string, arguments ...any) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// count passes each row of a query to add, in bytes that tell every value from
// every other, and returns how many there were.
func count(ctx context.Context, db *sql.DB, query string, add func([]byte)) (n int, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	var row []byte
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		row = row[:0]
		for _, value := range values {
			if row, err = appendValue(row, value); err != nil {
				return n, err
			}
		}
		add(row)
	}
	return n, rows.Err()
}

// appendValue appends a value's type, its length where types do not tell it,
// and the value.
func appendValue(row []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(row, 'n'), nil
	case int64:
		return binary.BigEndian.AppendUint64(append(row, 'i'), uint64(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(row, 'f'), math.Float64bits(v)), nil
	case string:
		return append(binary.BigEndian.AppendUint64(append(row, 't'), uint64(len(v))), v...), nil
	case []byte:
		return append(binary.BigEndian.AppendUint64(append(row, 'b'), uint64(len(v))), v...), nil
	}
	return nil, fmt.Errorf("a value of type %T", value)
}
