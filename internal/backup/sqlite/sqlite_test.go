package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/backup"
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
