package main

import (
	"strings"
	"testing"

	"berth/internal/backup"
)

// What is masked has never been there for anybody who knows the database's name; what
// cannot be masked, or is found elsewhere, does not come at all.
func TestACopyIsMaskedBeforeItIsThere(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE users (email text UNIQUE); INSERT INTO users SELECT 'person' || n || '@shop.example' FROM generate_series(1, 5) n; CREATE TABLE notes (note text); INSERT INTO notes VALUES ('ask Person3@shop.example')")
	var made backup.Manifest
	s.succeeds(t, &made, "run", "--verify=false")
	s.exec(t, "DROP TABLE users, notes")
	restore := []string{"restore", "--yes", "--no-safety-backup", "--copy"}

	s.fails(t, nil, "public.notes.note holds what users.email held", append(restore, `--masks={"users.email":"email"}`, made.ID)...)
	s.fails(t, nil, "mask users.mail: the database has no such column", append(restore, `--masks={"users.mail":"email"}`, made.ID)...)
	if o := s.backup(t, "", nil, append(restore, "--masks=users.email", made.ID)...); o.status != 2 || !strings.Contains(o.stderr, "must be an object of JSON") {
		t.Errorf("status %d: %s", o.status, o.stderr)
	}
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); got != 0 {
		t.Errorf("%d tables have come back", got)
	}
	s.succeeds(t, nil, append(restore, `--masks={"users.email":"email","notes.note":"a note"}`, made.ID)...)
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM users, notes WHERE email LIKE '%@example.invalid' AND note = 'a note'"); got != 5 {
		t.Errorf("%d of 5 are masked", got)
	}
	s.exec(t, "DROP TABLE users, notes")
}
