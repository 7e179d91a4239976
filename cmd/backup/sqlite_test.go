package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"berth/internal/backup"
)

// newFileSite is a SQLite database and a bucket. The database is open, as the
// application has it, until the test ends.
func newFileSite(t *testing.T) (s *site, app *sql.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app ✓.db")
	s = newSite(t)
	s.env["DATABASE_URL"], s.name = "sqlite:///"+path, filepath.Base(path)
	app, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	do(t, app, `CREATE TABLE article (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, body BLOB, created TIMESTAMP, score REAL)`)
	do(t, app, `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000)
		INSERT INTO article SELECT n, 'Title ' || n, randomblob(1 + n % 700), '2026-03-29 01:59:59', n / 3.0 FROM n`)
	return s, app, path
}

func do(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%v in %s", err, statement)
	}
}

// number is the number that a query gives.
func number(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	return n
}

// openFile opens a database that lies somewhere else.
func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func folder(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// A SQLite database is restored under the application that has it open, which
// goes on with what was restored; what was there is kept beside it.
func TestSQLite(t *testing.T) {
	s, app, path := newFileSite(t)
	do(t, app, `CREATE TABLE "a ""b"" ✓" ("x ""y""" TEXT PRIMARY KEY, n) WITHOUT ROWID`)
	do(t, app, `INSERT INTO "a ""b"" ✓" VALUES ('nul ' || char(0), NULL), ('1', 1), ('2', '1'), ('3', 1.0), ('4', x'31')`)
	do(t, app, `CREATE TABLE none (i)`)
	do(t, app, `CREATE VIRTUAL TABLE words USING fts5 (word)`)
	do(t, app, `INSERT INTO words VALUES ('findable')`)
	var made backup.Manifest
	s.succeeds(t, &made, "run")
	if got := made.Tables["main.article"].Rows; got != 2000 || made.Tables[`main."a ""b"" ✓"`].Rows != 5 || made.Format != backup.SQLite {
		t.Errorf("the manifest is %+v", made)
	}
	if _, there := made.Tables["main.none"]; !there {
		t.Error("the empty table is missing")
	}
	if entries := s.list(t); len(entries) != 1 || entries[0].State() != "verified" || !entries[0].Verified.SameSchema {
		t.Fatalf("the list is %+v", entries)
	}

	do(t, app, `DELETE FROM article`)
	do(t, app, `DROP TABLE words`)
	do(t, app, `CREATE TABLE later (i)`)
	before := folder(t, filepath.Dir(path))
	var restored backup.Restored
	s.succeeds(t, &restored, "restore", "--yes", made.ID)
	if got := number(t, app, `SELECT count(*) FROM article WHERE length(body) = 1 + id % 700`); got != 2000 {
		t.Errorf("the application sees %d articles", got)
	}
	if got := number(t, app, `SELECT count(*) FROM words('findable')`); got != 1 {
		t.Errorf("the application finds %d words", got)
	}
	do(t, app, `INSERT INTO article (title) VALUES ('after')`)
	if got := number(t, app, `SELECT max(id) FROM article`); got != 2001 {
		t.Errorf("the next article is number %d", got)
	}
	kept := openFile(t, filepath.Join(filepath.Dir(path), restored.Kept))
	if got := number(t, kept, `SELECT count(*) FROM article`) + number(t, kept, `SELECT count(*) FROM later`); got != 0 {
		t.Errorf("the database that was kept has %d rows", got)
	}
	kept.Close()
	if diff := cmp.Diff(append(before, restored.Kept), folder(t, filepath.Dir(path))); diff != "" {
		t.Errorf("beside the database (-want +got):\n%s", diff)
	}
	if entries := s.list(t); len(entries) != 2 || entries[0].ID != restored.Safety || entries[0].Tables["main.article"].Rows != 0 {
		t.Errorf("the safety backup is missing: %+v", entries)
	}

	// By hand: what is downloaded is the database.
	file := filepath.Join(t.TempDir(), "downloaded.db")
	s.succeeds(t, nil, "get", "--output", file, made.ID)
	if got := number(t, openFile(t, file), `SELECT count(*) FROM article`); got != 2000 {
		t.Errorf("the file that get writes has %d articles", got)
	}
	// Onto an empty volume.
	fresh := filepath.Join(t.TempDir(), "fresh.db")
	s.env["DATABASE_URL"] = "sqlite:///" + fresh
	s.succeeds(t, nil, "restore", "--yes", made.ID)
	if got := number(t, openFile(t, fresh), `SELECT count(*) FROM article`); got != 2000 {
		t.Errorf("the new database has %d articles", got)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info, err)
	}
}

// A copy is of one moment: what one transaction writes, it has all or nothing of.
func TestSQLiteUnderLoad(t *testing.T) {
	s, app, _ := newFileSite(t)
	do(t, app, `CREATE TABLE a (i)`)
	do(t, app, `CREATE TABLE b (i)`)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := app.Exec(`BEGIN IMMEDIATE; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); COMMIT`); err != nil {
				t.Error(err)
				return
			}
		}
	})
	app.SetMaxOpenConns(1)
	for range 5 {
		var made backup.Manifest
		s.succeeds(t, &made, "run")
		if made.Tables["main.a"] != made.Tables["main.b"] {
			t.Errorf("the backup has %d rows of %d", made.Tables["main.a"].Rows, made.Tables["main.b"].Rows)
		}
	}
	close(stop)
	writer.Wait()
}

// Each case wants the command to fail and to say why, and the database and the
// earlier backup to stay as they are.
func TestSQLiteFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		test func(t *testing.T, s *site, app *sql.DB, path string)
	}{
		{"no such file", func(t *testing.T, s *site, _ *sql.DB, path string) {
			s.fails(t, map[string]string{"DATABASE_URL": "sqlite:///" + path + "x"}, "no such file or directory", "run")
			s.env["DATABASE_URL"] = "sqlite:///" + path
			if o := s.backup(t, "", map[string]string{"DATABASE_URL": "sqlite:///"}, "run"); o.status != 2 {
				t.Errorf("no file named: status %d:\n%s", o.status, o.stderr)
			}
		}},
		{"bucket dying mid-upload", func(t *testing.T, s *site, app *sql.DB, _ string) {
			do(t, app, `CREATE TABLE noise AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12) SELECT randomblob(1000000) FROM n`)
			proxy := newMortalProxy(t, 3<<20)
			s.fails(t, map[string]string{"BUCKET_ENDPOINT": "http://" + proxy.address}, "upload part", "run")
			do(t, app, `DROP TABLE noise`)
		}},
		{"two runs at once", func(t *testing.T, s *site, _ *sql.DB, path string) {
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			s.fails(t, nil, "another backup or restore of this database is running", "run")
			s.fails(t, nil, "another backup or restore of this database is running", "restore", "--yes", "--no-safety-backup")
		}},
		{"unsound database", func(t *testing.T, s *site, app *sql.DB, path string) {
			bad := filepath.Join(t.TempDir(), "bad.db")
			do(t, app, `VACUUM INTO '`+bad+`'`)
			change(t, bad, func(data []byte) []byte { copy(data[8192:], make([]byte, 8192)); return data })
			s.fails(t, map[string]string{"DATABASE_URL": "sqlite:///" + bad}, "the database is not sound", "run")
			// One that is not even a database cannot be kept, and is not replaced.
			change(t, bad, func([]byte) []byte { return []byte(strings.Repeat("garbage", 1000)) })
			s.fails(t, map[string]string{"DATABASE_URL": "sqlite:///" + bad}, "move the file away", "restore", "--yes", "--no-safety-backup")
			if names := folder(t, filepath.Dir(bad)); len(names) != 1 {
				t.Errorf("beside the database: %v", names)
			}
		}},
		{"truncated object", func(t *testing.T, s *site, _ *sql.DB, _ string) {
			var bad backup.Manifest
			s.succeeds(t, &bad, "run", "--verify=false")
			change(t, s.path(bad.Dump.Name), func(data []byte) []byte { return data[:len(data)-100] })
			s.damaged(t, bad.ID)
			s.remove(t, bad.ID)
		}},
		{"disk full", func(t *testing.T, s *site, _ *sql.DB, path string) {
			disk := t.TempDir()
			if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
				t.Fatalf("mount a small disk (the test needs root): %v", err)
			}
			defer syscall.Unmount(disk, syscall.MNT_DETACH)
			s.fails(t, map[string]string{"BACKUP_SCRATCH": disk}, "the disk is full", "run")
			s.fails(t, map[string]string{"BACKUP_SCRATCH": disk}, "the disk is full", "verify")
			s.fails(t, map[string]string{"DATABASE_URL": "sqlite:///" + filepath.Join(disk, "app.db")}, "the disk is full", "restore", "--yes")
			if names := folder(t, disk); len(names) != 0 {
				t.Errorf("left on the disk: %v", names)
			}
		}},
		{"a backup of PostgreSQL", func(t *testing.T, s *site, _ *sql.DB, path string) {
			if o := s.backup(t, "", map[string]string{"DATABASE_URL": postgres.Database(t)}, "restore", "--yes"); o.status != 2 || !strings.Contains(o.stderr, "not the kind of database") {
				t.Errorf("status %d:\n%s", o.status, o.stderr)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, app, path := newFileSite(t)
			before := folder(t, filepath.Dir(path))
			var good backup.Manifest
			s.succeeds(t, &good, "run", "--verify=false")
			test.test(t, s, app, path)
			s.env["DATABASE_URL"] = "sqlite:///" + path
			if got := number(t, app, `SELECT count(*) FROM article`); got != 2000 {
				t.Errorf("the database has %d articles", got)
			}
			if diff := cmp.Diff(before, folder(t, filepath.Dir(path))); diff != "" {
				t.Errorf("beside the database (-want +got):\n%s", diff)
			}
			if names := s.objects(t); len(names) != 2 {
				t.Errorf("the bucket holds %v, want one backup's two objects", names)
			}
			s.succeeds(t, nil, "verify", good.ID)
		})
	}
}
