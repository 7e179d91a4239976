package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/internal/backup"
	"berth/internal/fault"
)

// database makes a database of one table with one row, which has a value twice:
// as it is, and as a column makes of it that the driver reads times from.
func database(t *testing.T, value string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "with space & ✓?.db")
	db, err := sql.Open("sqlite", location(path, "_pragma=journal_mode(WAL)"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t (v, w TIMESTAMP); INSERT INTO t VALUES (" + value + ", " + value + ")"); err != nil {
		t.Fatalf("%v in %s", err, value)
	}
	return path
}

func contents(t *testing.T, path string) backup.Contents {
	t.Helper()
	_, c, err := Engine{}.Read(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Values that SQLite takes for different have different checksums, whatever the
// column was declared as, and the same value has the same.
func TestReadTellsValuesApart(t *testing.T) {
	seen := map[backup.Table]string{}
	for _, value := range []string{"NULL", "1", "2", "1.5", "'1'", "x'31'", "''", "x''", "'2026-01-02 03:04:05'", "'2026-01-02T03:04:05Z'", "'a' || char(0)", "'a' || char(0) || 'b'", "9223372036854775807", "9.3e18"} {
		table := contents(t, database(t, value)).Tables["main.t"]
		if table.Rows != 1 {
			t.Errorf("%s: %d rows", value, table.Rows)
		}
		if other, there := seen[table]; there {
			t.Errorf("%s and %s have one checksum", value, other)
		}
		seen[table] = value
		if again := contents(t, database(t, value)).Tables["main.t"]; again != table {
			t.Errorf("%s has two checksums", value)
		}
	}
}

// A copy holds what is in the write-ahead log, too, and is one file.
func TestCopy(t *testing.T) {
	from := database(t, "1")
	app, err := sql.Open("sqlite", location(from, "_pragma=wal_autocheckpoint(0)"))
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	if _, err := app.Exec("INSERT INTO t VALUES (2, 2)"); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := (Engine{}).Copy(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, to).Tables["main.t"].Rows; got != 2 {
		t.Errorf("the copy has %d rows", got)
	}
	if entries, err := os.ReadDir(filepath.Dir(to)); err != nil || len(entries) != 1 {
		t.Errorf("the copy is %v, %v", entries, err)
	}
	if err := (Engine{}).Copy(t.Context(), from+"x", to); err == nil {
		t.Error("copying nothing succeeds")
	}
	if got := contents(t, to).Tables["main.t"].Rows; got != 2 {
		t.Errorf("after a copy that failed there are %d rows", got)
	}
}

func TestReadFindsDamage(t *testing.T) {
	path := database(t, "1")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"a page of zeros": func(data []byte) []byte { clear(data[4096:8192]); return data },
		"cut off":         func(data []byte) []byte { return data[:4096] },
		"not a database":  func(data []byte) []byte { data[0] ^= 1; return data },
	} {
		if err := os.WriteFile(path, damage(append([]byte(nil), data...)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := (Engine{}).Read(t.Context(), path); !errors.Is(err, backup.ErrUnsound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A database whose indexes need what only the application has is read and compared;
// what could not be checked is said, and damage elsewhere is still found.
func TestCollationsAndFunctionsOfTheApplication(t *testing.T) {
	for _, test := range []struct{ index, from, to string }{
		{"CREATE INDEX i ON t (v COLLATE NOCASE)", "NOCASE", "OF_THE_APPLICATION"},
		{"CREATE INDEX i ON t (lower(v))", "lower(", "of_the_application("},
	} {
		path := database(t, "'x'")
		db, err := sql.Open("sqlite", location(path, ""))
		if err != nil {
			t.Fatal(err)
		}
		// As if it had been made by the application: SQLite would refuse what it does not have.
		_, err = db.Exec("CREATE TABLE other (v); INSERT INTO other VALUES (1); " + test.index + "; PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '" + test.from + "', '" + test.to + "')")
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		c := contents(t, path)
		if c.Tables["main.t"].Rows != 1 || c.Tables["main.other"].Rows != 1 {
			t.Errorf("%s: %+v", test.to, c.Tables)
		}
		if len(c.Unchecked) != 1 || !strings.Contains(c.Unchecked[0], "table t ") {
			t.Errorf("%s: not checked are %q", test.to, c.Unchecked)
		}
	}
}

// made makes a database by statements, without asking whether they make sense.
func made(t *testing.T, parameters, statements string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.db")
	db, err := sql.Open("sqlite", location(path, parameters))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(statements)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatalf("%v in %s", err, statements)
	}
	return path
}

// Databases as other people have them are copied, read, and copied back over one that
// the application has made anew.
func TestStrangers(t *testing.T) {
	for name, test := range map[string]struct{ parameters, sql, warns string }{
		"STRICT, without rowid":      {"", "CREATE TABLE s (a INT, b TEXT, c ANY) STRICT; INSERT INTO s VALUES (1, 'x', x'00'), (NULL, NULL, 1.5); CREATE TABLE w (a TEXT, b TEXT, PRIMARY KEY (b, a)) STRICT, WITHOUT ROWID; INSERT INTO w VALUES ('a', 'b')", ""},
		"generated columns":          {"", "CREATE TABLE g (a INT, b INT GENERATED ALWAYS AS (a * 2) STORED, c AS (a + 1) VIRTUAL); INSERT INTO g VALUES (1)", ""},
		"virtual tables":             {"", "CREATE VIRTUAL TABLE f USING fts5(a, content=''); INSERT INTO f VALUES ('x'); CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 2, 3)", ""},
		"a virtual table of another": {"", "CREATE TABLE vec_data (x); INSERT INTO vec_data VALUES (5); PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES ('table', 'vec', 'vec', 0, 'CREATE VIRTUAL TABLE vec USING vec0(x)')", ""},
		"broken views and triggers":  {"", "CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT nofunction(a) FROM missing; CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO nowhere VALUES (1); END", ""},
		"UTF-16":                     {"", "PRAGMA encoding = 'UTF-16be'; CREATE TABLE t (a); INSERT INTO t VALUES ('é🦄'), (CAST(x'd800' AS TEXT))", ""},
		"small pages":                {"_pragma=page_size(512)&_pragma=auto_vacuum(1)", "CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000))", ""},
		"large pages":                {"_pragma=page_size(65536)&_pragma=journal_mode(WAL)", "PRAGMA user_version = 7; PRAGMA application_id = 99; CREATE TABLE t (a); INSERT INTO t VALUES (1)", ""},
		"odd names":                  {"", `CREATE TABLE "" ("" INT); INSERT INTO "" VALUES (1); CREATE TABLE '?1' ('$x', "a""b"); INSERT INTO '?1' VALUES (1, 2)`, ""},
		"infinity":                   {"", "CREATE TABLE t (a DATETIME, b BOOLEAN, c, d); INSERT INTO t VALUES ('2026', 'yes', 1e999, -0.0), (1.5, 2, -9223372036854775808, -1e999)", ""},
		"NULL where it may not be":   {"", "CREATE TABLE t (a); INSERT INTO t VALUES (NULL), (NULL); PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a NOT NULL)'", "NULL value in t.a"},
		"nothing at all":             {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := made(t, test.parameters, test.sql)
			copied := filepath.Join(t.TempDir(), "copy.db")
			if err := (Engine{}).Copy(t.Context(), path, copied); err != nil {
				t.Fatal(err)
			}
			want := contents(t, copied)
			if warned := strings.Join(want.Unchecked, "; "); warned != test.warns {
				t.Errorf("it warns of %q, want %q", warned, test.warns)
			}
			over := made(t, "_pragma=journal_mode(WAL)", "CREATE TABLE old (a)")
			if err := (Engine{}).Copy(t.Context(), copied, over); err != nil {
				t.Fatal(err)
			}
			again := filepath.Join(t.TempDir(), "again.db")
			if err := (Engine{}).Copy(t.Context(), over, again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, contents(t, again)); diff != "" {
				t.Errorf("what was restored differs (-want +got):\n%s", diff)
			}
		})
	}
}

// While the application has the database open, its pages keep their size.
func TestPagesOfAnotherSize(t *testing.T) {
	small := made(t, "_pragma=page_size(512)", "CREATE TABLE t (a)")
	path := database(t, "1")
	app, err := sql.Open("sqlite", location(path, "mode=rw"))
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Ping(); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Exec("SELECT * FROM t"); err != nil {
		t.Fatal(err)
	}
	if err := (Engine{}).Copy(t.Context(), small, path); err == nil || !strings.Contains(fault.Hint(err), "stop the application") {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	if got := contents(t, path).Tables["main.t"].Rows; got != 1 {
		t.Errorf("it has %d rows", got)
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if err := (Engine{}).Copy(t.Context(), small, path); err != nil {
		t.Error(err)
	}
	if _, mode, err := pages(t.Context(), small, path); err != nil || mode != "wal" {
		t.Errorf("its journal mode is %s, %v", mode, err)
	}
}
