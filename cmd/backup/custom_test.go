package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/internal/backup"
)

// An archive of pg_dump's is read, verified and restored as SQL is, and
// pg_restore alone restores it, too.
func TestCustomFormat(t *testing.T) {
	s := newSite(t)
	s.env["BACKUP_FORMAT"] = "custom"
	s.exec(t, everything)
	before := pgDump(t, s.env["DATABASE_URL"])
	var made, plain backup.Manifest
	s.succeeds(t, &made, "run")
	entries := s.list(t)
	if len(entries) != 1 || entries[0].State() != "verified" || !entries[0].Verified.SameSchema {
		t.Fatalf("the list is %+v", entries)
	}
	s.env["BACKUP_FORMAT"] = "plain"
	s.succeeds(t, &plain, "run", "--verify=false")
	if diff := cmp.Diff(plain.Contents, made.Contents); diff != "" {
		t.Errorf("the manifest tells of other contents than that of a plain dump (-want +got):\n%s", diff)
	}

	s.exec(t, "DELETE FROM article; DROP TABLE parted CASCADE; SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
	s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup", made.ID)
	if diff := cmp.Diff(before, pgDump(t, s.env["DATABASE_URL"])); diff != "" {
		t.Errorf("the restored database dumps differently (-want +got):\n%s", diff)
	}

	target, file := postgres.Database(t), filepath.Join(t.TempDir(), "archive")
	s.succeeds(t, nil, "get", "--output", file, made.ID)
	command := exec.Command(filepath.Join(postgres.Bin, "pg_restore"), "--exit-on-error", "--jobs=2", "--dbname="+target, file)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("pg_restore: %v\n%s", err, output)
	}
	if diff := cmp.Diff(before, pgDump(t, target)); diff != "" {
		t.Errorf("what pg_restore makes of it dumps differently (-want +got):\n%s", diff)
	}
}

// An archive is read to its end on the way, which tells what --list would not.
func TestCustomFormatFailures(t *testing.T) {
	s := newSite(t)
	s.env["BACKUP_FORMAT"] = "custom"
	s.exec(t, everything)
	var good, bad backup.Manifest
	s.succeeds(t, &good, "run", "--verify=false")
	for _, test := range []struct{ script, wants string }{
		{`"$real/pg_dump" "$@" | head -c 100000`, "read the archive back: pg_restore: exit status 1"},
		{`exit 0`, "read the archive back: pg_restore: exit status 1"},
		{`"$real/pg_dump" "$@" | head -c 100000; kill -KILL $$`, "pg_dump: signal: killed"},
		{`exec "$real/pg_dump" --exclude-table=article "$@"`, "pg_dump left out table public.article"},
	} {
		s.fails(t, map[string]string{"PG_BIN": wrap(t, test.script)}, test.wants, "run")
	}
	bin := wrap(t, `exec "$real/pg_dump" "$@"`)
	write(t, filepath.Join(bin, "pg_restore"), "#!/bin/sh\nhead -c 1000 >/dev/null\necho 'no more' >&2\nexit 3\n", 0o755)
	s.fails(t, map[string]string{"PG_BIN": bin}, "read the archive back: pg_restore: exit status 3: no more", "run")
	s.fails(t, map[string]string{"PG_BIN": bin}, "pg_restore: exit status 3: no more", "restore", "--yes", "--no-safety-backup", good.ID)
	if o := s.backup(t, "", map[string]string{"BACKUP_FORMAT": "tar"}, "run"); o.status != 2 {
		t.Errorf("an unknown format: status %d:\n%s", o.status, o.stderr)
	}
	if entries, err := os.ReadDir(filepath.Dir(s.path(good.Dump.Name))); err != nil || len(entries) != 3 {
		t.Errorf("the bucket holds %v, %v; want one backup's three objects", entries, err)
	}

	t.Setenv("PG_BIN", "")
	s.env["BACKUP_FORMAT"] = "custom" // The variable was taken away with the others.
	s.succeeds(t, &bad, "run", "--verify=false")
	change(t, s.path(bad.Dump.Name), func(data []byte) []byte { return data[:len(data)-100] })
	s.damaged(t, bad.ID)
	s.succeeds(t, nil, "verify", good.ID)
}
