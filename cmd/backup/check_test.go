package main

import (
	"strings"
	"testing"
)

// What would keep backups from being made, or from being verified, is told
// before there is any.
func TestCheck(t *testing.T) {
	s := newSite(t)
	s.exec(t, everything)
	if o := s.backup(t, "", nil, "check"); o.status != 0 || !strings.Contains(o.stderr, "backups can be made here") {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	if entries := s.list(t); len(entries) != 0 {
		t.Errorf("it made %d backups", len(entries))
	}
	s.fails(t, map[string]string{"BUCKET_SECRET_KEY": "wrong"}, "the bucket refuses the key", "check")
	s.fails(t, map[string]string{"BUCKET_ENDPOINT": "http://127.0.0.1:1"}, "the bucket cannot be reached", "check")
	s.fails(t, map[string]string{"DATABASE_URL": strings.Replace(s.env["DATABASE_URL"], s.name, "nobodys", 1)}, "nobodys", "check")
	s.exec(t, `
		SET allow_system_table_mods = on;
		INSERT INTO pg_extension SELECT 99999, 'postgis_of_somebody', extowner, extnamespace, extrelocatable, extversion, extconfig, extcondition
		FROM pg_extension WHERE extname = 'plpgsql'`)
	s.fails(t, nil, "the scratch server does not have the extension postgis_of_somebody", "check")
	if o := s.backup(t, "", map[string]string{"BACKUP_VERIFY": "false"}, "check"); o.status != 0 {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	s.fails(t, map[string]string{"PG_BIN": t.TempDir()}, "pg_dump", "check")
}
