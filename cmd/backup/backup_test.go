package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
)

// What is backed up is verified, and restored it dumps to the same text.
func TestRestoresTheSame(t *testing.T) {
	s := newSite(t)
	s.exec(t, everything)
	s.exec(t, "ALTER DATABASE "+pgx.Identifier{s.name}.Sanitize()+" SET work_mem = '8MB'")
	before := pgDump(t, s.env["DATABASE_URL"])

	var made backup.Manifest
	s.succeeds(t, &made, "run")
	if made.Rows() != 100+1+301+2000 || made.Tables["public.article"].Rows != 2000 || len(made.Tables) != 6 || made.LargeObjects.Rows == 0 {
		t.Errorf("the manifest counts %d rows, %d pieces of large objects, tables %v", made.Rows(), made.LargeObjects.Rows, made.Tables)
	}
	entries := s.list(t)
	if len(entries) != 1 || entries[0].State() != "verified" || !entries[0].Verified.SameSchema {
		t.Fatalf("the list is %+v", entries)
	}

	s.exec(t, "DELETE FROM article; DROP TABLE parted CASCADE; SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
	var restored backup.Restored
	s.succeeds(t, &restored, "restore", "--yes", made.ID)
	if diff := cmp.Diff(before, pgDump(t, s.env["DATABASE_URL"])); diff != "" {
		t.Errorf("the restored database dumps differently (-want +got):\n%s", diff)
	}
	if got := query[string](t, s.env["DATABASE_URL"], "SHOW work_mem"); got != "8MB" {
		t.Errorf("the database's own work_mem is %s", got)
	}
	kept := postgres.URL(restored.Kept)
	if got := query[int](t, kept, "SELECT count(*) FROM article"); got != 0 {
		t.Errorf("the database that was kept has %d articles", got)
	}
	if entries := s.list(t); len(entries) != 2 || entries[0].ID != restored.Safety || entries[0].Rows() != 101 {
		t.Errorf("the safety backup is missing: %+v", entries)
	}
}

// From a laptop with nothing but the bucket's key, zstd and psql, as
// docs/backups.md tells. The object is fetched here as the S3 server keeps it.
func TestRestoresWithPlainTools(t *testing.T) {
	s := newSite(t)
	s.exec(t, everything)
	var made backup.Manifest
	s.succeeds(t, &made, "run", "--verify=false")
	target := postgres.Database(t)
	script := exec.Command("sh", "-euc", `
		echo "$SHA256  $FILE" | sha256sum --check --quiet
		zstd -dc "$FILE" | tail -n 8 | grep -q "PostgreSQL database dump complete"
		zstd -dc "$FILE" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output=/dev/null --dbname="$TARGET"`)
	script.Env = append(os.Environ(), "FILE="+s.path(made.Dump.Name), "SHA256="+made.Dump.SHA256, "TARGET="+target)
	if output, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	if diff := cmp.Diff(pgDump(t, s.env["DATABASE_URL"]), pgDump(t, target)); diff != "" {
		t.Errorf("it dumps differently (-want +got):\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "dump.sql")
	s.succeeds(t, nil, "get", "--output", file)
	plain, err := exec.Command("zstd", "-dc", s.path(made.Dump.Name)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("backup get gives %d bytes, want %d (%v)", len(got), len(plain), err)
	}
}

func TestRestoreAsks(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t (i int)")
	s.succeeds(t, nil, "run", "--verify=false")
	s.exec(t, "INSERT INTO t VALUES (1)")
	if o := s.backup(t, "yes\n", nil, "restore"); o.status != 2 || !strings.Contains(o.stderr, "nothing was done") {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM t"); got != 1 {
		t.Error("it restored all the same")
	}
	if o := s.backup(t, s.name+"\n", nil, "restore", "--no-safety-backup"); o.status != 0 {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM t"); got != 0 {
		t.Error("it did not restore")
	}
}
