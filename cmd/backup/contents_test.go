package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/backup"
)

// What is restored to try things on has the roles that its backup speaks of, which a
// server that has never been production's does not know.
func TestACopyHasTheRolesOfItsBackup(t *testing.T) {
	s := newSite(t)
	admin := postgres.URL("postgres")
	reporter := s.name + "_reporter"
	t.Cleanup(func() { execute(t, admin, "DROP OWNED BY "+reporter+" CASCADE; DROP ROLE IF EXISTS "+reporter) })
	execute(t, admin, "CREATE ROLE "+reporter+" LOGIN")
	s.exec(t, "CREATE TABLE t AS SELECT generate_series(1, 5) AS i; GRANT SELECT ON t TO "+reporter)
	var made backup.Manifest
	s.succeeds(t, &made, "run", "--verify=false")
	s.exec(t, "DROP TABLE t")
	execute(t, admin, "DROP ROLE "+reporter)

	s.fails(t, nil, `role "`+reporter+`" does not exist`, "restore", "--yes", "--no-safety-backup", made.ID)
	s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup", "--copy", made.ID)
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM t WHERE has_table_privilege('"+reporter+"', 't', 'SELECT')"); got != 5 {
		t.Errorf("%d rows are there for the role", got)
	}
	s.exec(t, "DROP TABLE t")
}

// A copy of SQLite may be written by any user that the application's image runs as. What is in
// it is told while the application has it open.
func TestTheContentsOfACopy(t *testing.T) {
	s, app, path := newFileSite(t)
	do(t, app, `CREATE INDEX titles ON article (title)`)
	s.succeeds(t, nil, "run", "--verify=false")
	s.env["DATABASE_URL"] = "sqlite:///" + filepath.Join(t.TempDir(), "copy.db")
	s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup", "--copy", "--from="+filepath.Base(path))
	info, err := os.Stat(strings.TrimPrefix(s.env["DATABASE_URL"], "sqlite:///"))
	if err != nil || info.Mode().Perm() != 0o666 {
		t.Fatalf("the copy is %v, %v", info, err)
	}
	copied := openFile(t, strings.TrimPrefix(s.env["DATABASE_URL"], "sqlite:///"))
	do(t, copied, `DELETE FROM article WHERE id > 1990`)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		port   string
		sealed bool
	}{{port, false}, {"1", true}} {
		o := s.backup(t, "", map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": test.port, "BUCKET_ACCESS_KEY": ""}, "contents")
		var found struct {
			Msg, Schema string
			Rows        map[string]int64
			Bytes       int64
			Sealed      bool
		}
		if err := json.Unmarshal([]byte(o.stderr), &found); err != nil || o.status != 0 {
			t.Fatalf("status %d, %v: %s", o.status, err, o.stderr)
		}
		if found.Rows["main.article"] != 1990 || found.Bytes < 4096 || found.Sealed != test.sealed || !strings.Contains(found.Schema, "-- Name: titles; Type: INDEX; Schema: main; Owner: -\n\nCREATE INDEX titles ON article (title);") {
			t.Errorf("it tells %+v", found)
		}
	}
	s.env["DATABASE_URL"] = postgres.URL("postgres")
	if o := s.backup(t, "", nil, "contents"); o.status != 2 || !strings.Contains(o.stderr, "not a file of SQLite") {
		t.Errorf("PostgreSQL: status %d: %s", o.status, o.stderr)
	}
}
