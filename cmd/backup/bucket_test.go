package main

import (
	"strings"
	"testing"

	"berth/internal/backup"
	"berth/internal/s3test"
)

// Through the whole life of a backup, whatever kind of bucket it lies in.
func TestKindsOfBuckets(t *testing.T) {
	for name, behaviour := range map[string]s3test.Behaviour{
		"object lock":         {ObjectLock: true},
		"R2's equal parts":    {EqualParts: true},
		"downloads cut often": {CutOver: 100_000, CutAt: 0.4, CutTimes: 9},
		"Complete is lost":    {LoseAnswer: map[s3test.Kind]int{s3test.Complete: s3test.Always}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.exec(t, incompressible)
			s.env["BUCKET_ENDPOINT"] = s3.Proxy(t, behaviour).URL
			var made backup.Manifest
			s.succeeds(t, &made, "run")
			s.exec(t, "DELETE FROM noise")
			s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup")
			if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM noise"); got != 16000 {
				t.Errorf("restored are %d rows", got)
			}
			s.succeeds(t, nil, "get", "--output", t.TempDir()+"/dump.sql")
		})
	}
}

// A key that may not delete makes no good backup red.
func TestPruningThatIsRefused(t *testing.T) {
	s := newSite(t)
	s.succeeds(t, nil, "run")
	s.env["BUCKET_ENDPOINT"] = s3.Proxy(t, s3test.Behaviour{Refuse: map[s3test.Kind]s3test.Refusal{
		s3test.Delete: {Times: s3test.Always, Status: 403, Code: "AccessDenied"},
	}}).URL
	s.env["BACKUP_KEEP_LAST"], s.env["BACKUP_KEEP_DAILY"], s.env["BACKUP_KEEP_WEEKLY"], s.env["BACKUP_KEEP_MONTHLY"] = "1", "0", "0", "0"
	o := s.backup(t, "", nil, "run")
	if o.status != 0 || !strings.Contains(o.stderr, "old backups could not be pruned") || !strings.Contains(o.stderr, "AccessDenied") {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	s.fails(t, nil, "the bucket's key may not do this", "prune")
	if entries := s.list(t); len(entries) != 2 || entries[0].State() != "verified" {
		t.Errorf("the list is %+v", entries)
	}
}

// A prefix is what a person means by it.
func TestPrefixes(t *testing.T) {
	for _, prefix := range []string{"/x/", "a//b/", "//", "shop-"} {
		s := newSite(t)
		s.env["BACKUP_PREFIX"] = prefix
		var first, second backup.Manifest
		s.succeeds(t, &first, "run", "--verify=false")
		s.succeeds(t, &second, "run")
		if entries := s.list(t); len(entries) != 2 || entries[0].ID != second.ID || entries[1].ID != first.ID || entries[0].State() != "verified" {
			t.Errorf("below %q are %+v", prefix, entries)
		}
		s.succeeds(t, nil, "restore", "--yes", second.ID)
	}
	s := newSite(t)
	s.env["BACKUP_PREFIX"] = "a/../b/"
	if o := s.backup(t, "", nil, "list"); o.status != 2 || !strings.Contains(o.stderr, `must not have a part ".."`) {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
}

// What the bucket says of one backup and cannot be read is named, and passed over.
func TestBrokenManifest(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t AS SELECT 1 AS i")
	var good, unsure, broken backup.Manifest
	s.succeeds(t, &good, "run")
	s.succeeds(t, &unsure, "run")
	s.succeeds(t, &broken, "run")
	write(t, s.path(unsure.ID+".verified.json"), "{", 0o600)
	write(t, s.path(broken.ID+".manifest.json"), "", 0o600)
	var states []string
	for _, e := range s.list(t) {
		states = append(states, e.ID+" "+e.State())
	}
	if got, want := strings.Join(states, ", "), broken.ID+" unreadable, "+unsure.ID+" unverified, "+good.ID+" verified"; got != want {
		t.Errorf("the list is %s, want %s", got, want)
	}
	o := s.backup(t, "", nil, "list")
	for _, name := range []string{broken.ID + ".manifest.json", unsure.ID + ".verified.json"} {
		if o.status != 0 || !strings.Contains(o.stderr, name) {
			t.Errorf("status %d, %s is not named:\n%s", o.status, name, o.stderr)
		}
	}
	var restored backup.Restored
	s.succeeds(t, &restored, "restore", "--yes")
	if restored.ID != good.ID {
		t.Errorf("restored is %s, want %s", restored.ID, good.ID)
	}
	s.fails(t, nil, "the backup is damaged", "restore", "--yes", broken.ID)
	var pruned backup.Pruned
	s.succeeds(t, &pruned, "prune")
	if len(pruned.Backups)+len(pruned.Orphans) > 0 {
		t.Errorf("pruned %+v", pruned)
	}
	s.succeeds(t, nil, "verify", unsure.ID)
	s.succeeds(t, nil, "run")
}

// A backup of another database is not put over this one by mistake.
func TestTwoDatabasesUnderOnePrefix(t *testing.T) {
	mine, other := newSite(t), newSite(t)
	other.env["BUCKET_NAME"] = mine.env["BUCKET_NAME"]
	mine.exec(t, "CREATE TABLE mine ()")
	other.exec(t, "CREATE TABLE other ()")
	var of backup.Manifest
	mine.succeeds(t, &of, "run")
	var foreign backup.Manifest
	other.succeeds(t, &foreign, "run")
	// Without an ID, one's own is meant, though the other is newer.
	var restored backup.Restored
	mine.succeeds(t, &restored, "restore", "--yes", "--no-safety-backup")
	if restored.ID != of.ID {
		t.Errorf("restored is %s, want %s", restored.ID, of.ID)
	}
	o := mine.backup(t, "", nil, "restore", "--yes", foreign.ID)
	if o.status != 2 || !strings.Contains(o.stderr, `it is a backup of database "`+other.name+`", and would replace "`+mine.name+`"`) || !strings.Contains(o.stderr, "--from") {
		t.Errorf("another's ID: status %d:\n%s", o.status, o.stderr)
	}
	o = mine.backup(t, mine.name+"\n", nil, "restore", foreign.ID)
	if o.status != 2 || !strings.Contains(o.stderr, `of database "`+other.name+`"`) || !strings.Contains(o.stderr, `over database "`+mine.name+`"`) {
		t.Errorf("only the target's name: status %d:\n%s", o.status, o.stderr)
	}
	if got := query[int](t, mine.env["DATABASE_URL"], "SELECT count(*) FROM pg_tables WHERE tablename = 'mine'"); got != 1 {
		t.Error("it was restored all the same")
	}
	if o := mine.backup(t, other.name+"\n"+mine.name+"\n", nil, "restore", "--no-safety-backup", foreign.ID); o.status != 0 {
		t.Errorf("both names: status %d:\n%s", o.status, o.stderr)
	}
	if got := query[int](t, mine.env["DATABASE_URL"], "SELECT count(*) FROM pg_tables WHERE tablename = 'other'"); got != 1 {
		t.Error("it was not restored")
	}
	if o := mine.backup(t, "", nil, "restore", "--yes", "--no-safety-backup", "--from", other.name, foreign.ID); o.status != 0 {
		t.Errorf("--from: status %d:\n%s", o.status, o.stderr)
	}
}
