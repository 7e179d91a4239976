package main

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"berth/internal/backup"
)

// The role that "backup grant" makes can make a backup and change nothing.
func TestGrant(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t AS SELECT 1 AS i; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE SCHEMA private; CREATE TABLE private.u (i int)")
	const password = `p'a"s\s`
	for range 2 {
		if o := s.backup(t, "", map[string]string{"BACKUP_ROLE_PASSWORD": password}, "grant", "--role=backup reader"); o.status != 0 {
			t.Fatalf("status %d:\n%s", o.status, o.stderr)
		}
	}
	if verifier := query[string](t, s.env["DATABASE_URL"], "SELECT rolpassword FROM pg_authid WHERE rolname = 'backup reader'"); !strings.HasPrefix(verifier, "SCRAM-SHA-256$4096:") {
		t.Errorf("the password is stored as %s", verifier)
	}
	owner := s.env["DATABASE_URL"]
	reader := mustParse(t, owner)
	reader.User = url.User("backup reader")
	s.env["DATABASE_URL"] = reader.String()
	var made backup.Manifest
	s.succeeds(t, &made, "run")
	if made.Rows() != 1 || len(made.Tables) != 2 {
		t.Errorf("the backup holds %v", made.Tables)
	}
	d, err := backup.ParseDatabase(s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Grant(context.Background(), "another", "secret"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the reader makes a role: %v", err)
	}
	if o := s.backup(t, "", map[string]string{"DATABASE_URL": owner, "BACKUP_ROLE_PASSWORD": "x"}, "grant", "--role=berth"); o.status != 2 {
		t.Errorf("the owner is made a reader: status %d: %s", o.status, o.stderr)
	}
}
