package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/s3test"
)

// These are servers, and ways to them, as other people have them.

func TestDatabasePostgres(t *testing.T) {
	s := newSite(t)
	s.env["DATABASE_URL"], s.name = postgres.URL("postgres"), "postgres"
	s.exec(t, "CREATE TABLE kept_in_postgres AS SELECT 1 AS i")
	s.succeeds(t, nil, "run")
	s.exec(t, "DROP TABLE kept_in_postgres")
	var restored backup.Restored
	s.succeeds(t, &restored, "restore", "--yes")
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM kept_in_postgres"); got != 1 {
		t.Errorf("restored are %d rows", got)
	}
	s.exec(t, "DROP TABLE kept_in_postgres")
	s.exec(t, "DROP DATABASE "+pgx.Identifier{restored.Kept}.Sanitize())
}

// An owner who is not let into the database postgres backs up and restores.
func TestNoWayIntoPostgres(t *testing.T) {
	s := newSite(t)
	owner := s.name + "_owner"
	execute(t, postgres.URL("postgres"), "CREATE ROLE "+owner+" LOGIN CREATEDB; ALTER DATABASE "+pgx.Identifier{s.name}.Sanitize()+" OWNER TO "+owner)
	execute(t, postgres.URL("postgres"), "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
	t.Cleanup(func() { execute(t, postgres.URL("postgres"), "GRANT CONNECT ON DATABASE postgres TO PUBLIC") })
	u := mustParse(t, s.env["DATABASE_URL"])
	u.User = url.User(owner)
	s.env["DATABASE_URL"] = u.String()
	s.exec(t, "CREATE SCHEMA own; CREATE TABLE own.t AS SELECT 1 AS i")
	s.succeeds(t, nil, "run")
	s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup")
}

// Bytes that no encoding is known for stay as they are.
func TestSQLASCII(t *testing.T) {
	s := newSite(t)
	s.name += "_ascii"
	execute(t, postgres.URL("postgres"), "CREATE DATABASE "+s.name+" TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'")
	s.env["DATABASE_URL"] = postgres.URL(s.name)
	s.exec(t, `CREATE TABLE t AS SELECT E'latin1: \xe4, utf8: \xc3\xa4'::text AS x`)
	s.exec(t, "CREATE TABLE \"latin1 \xe4\" AS SELECT 1 AS \"\xe4\"; CREATE TABLE \"latin1 \xf6\" AS SELECT 2 AS \"\xe4\" UNION SELECT 3")
	sum := query[string](t, s.env["DATABASE_URL"], "SELECT md5(x) FROM t")
	s.succeeds(t, nil, "run")
	s.exec(t, "DELETE FROM t")
	s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup")
	if got := query[string](t, s.env["DATABASE_URL"], "SELECT md5(x) FROM t"); got != sum {
		t.Errorf("restored is %s, want %s", got, sum)
	}
}

// Bytes that are no characters of the database's encoding do not prevent its backups.
func TestEncodings(t *testing.T) {
	for _, format := range []string{"plain", "custom"} {
		s := newSite(t)
		s.env["BACKUP_FORMAT"] = format
		s.name += "_windows"
		execute(t, postgres.URL("postgres"), "CREATE DATABASE "+s.name+" TEMPLATE template0 ENCODING WIN1252 LOCALE 'C'")
		s.env["DATABASE_URL"] = postgres.URL(s.name)
		in := s.env["DATABASE_URL"] + "?client_encoding=UTF8"
		execute(t, in, `CREATE TABLE "Größe €" AS SELECT '€ ä'::text AS "x €"`)
		var in8, own backup.Manifest
		s.succeeds(t, &in8, "run")
		if _, there := in8.Tables[`public."Größe €"`]; !there || in8.OwnEncoding {
			t.Errorf("%s: %+v", format, in8)
		}
		execute(t, in, `INSERT INTO "Größe €" VALUES (E'none: \x81')`)
		bytes := `SELECT md5(string_agg(convert_to("x €", 'WIN1252'), '')) FROM "Größe €"`
		sum := query[string](t, in, bytes)
		s.succeeds(t, &own, "run")
		if !own.OwnEncoding || own.Rows() != 2 {
			t.Errorf("%s: %+v", format, own)
		}
		execute(t, in, `DELETE FROM "Größe €"`)
		s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup", own.ID)
		if got := query[string](t, in, bytes); got != sum {
			t.Errorf("%s: restored is %s, want %s", format, got, sum)
		}
	}
}

// A locale that the scratch server does not have does not prevent comparing; a restore says
// so, and so it does for an extension, before anything is done.
func TestWhatAServerLacks(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t AS SELECT 1 AS i")
	var made backup.Manifest
	s.succeeds(t, &made, "run", "--verify=false")
	edit := func(from, to string) {
		t.Helper()
		change(t, s.path(made.ID+".manifest.json"), func(data []byte) []byte {
			if !strings.Contains(string(data), from) {
				t.Fatalf("the manifest has no %s:\n%s", from, data)
			}
			return []byte(strings.Replace(string(data), from, to, 1))
		})
	}
	edit(`"collate": "C"`, `"collate": "tlh_KX.UTF-8"`)
	o := s.backup(t, "", nil, "verify", made.ID)
	if o.status != 0 || !strings.Contains(o.stderr, "the scratch server does not have the database's locale") {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	s.fails(t, nil, "this server does not have the database's locale", "restore", "--yes", "--no-safety-backup", made.ID)
	edit(`"plpgsql"`, `"plpgsql", "postgis_of_somebody"`)
	s.fails(t, nil, "the server does not have the extension postgis_of_somebody", "restore", "--yes", made.ID)
	if entries := s.list(t); len(entries) != 1 {
		t.Errorf("a safety backup was made before: %+v", entries)
	}
}

// A connection pooler is refused before the work begins.
func TestPgbouncer(t *testing.T) {
	s := newSite(t)
	for name, settings := range map[string]string{
		"transactions":      "pool_mode = transaction\n",
		"options ignored":   "pool_mode = transaction\nignore_startup_parameters = options,extra_float_digits\n",
		"sessions, however": "pool_mode = session\nignore_startup_parameters = options\n",
	} {
		t.Run(name, func(t *testing.T) {
			s.env["DATABASE_URL"] = pgbouncer(t, s.name, settings)
			s.fails(t, nil, "that of a connection pooler", "run")
		})
	}
}

// pgbouncer starts one before a database, and returns its URL.
func pgbouncer(t *testing.T, database, settings string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write(t, filepath.Join(dir, "users"), `"berth" ""`+"\n", 0o644)
	write(t, filepath.Join(dir, "ini"), fmt.Sprintf("[databases]\n%s = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = trust\nauth_file = %s/users\n%s",
		database, postgres.Port, port, dir, settings), 0o644)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("pgbouncer", "--user=nobody", filepath.Join(dir, "ini"))
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatalf("%v (the test needs pgbouncer)", err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	u := fmt.Sprintf("postgres://berth@127.0.0.1:%d/%s", port, database)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(context.Background(), u)
		if err == nil {
			_ = c.Close(context.Background())
			return u
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer does not answer: %v\n%s", err, said.String())
		}
	}
}

// Of several hosts, programs go to the one that the session is of.
func TestSeveralHosts(t *testing.T) {
	s := newSite(t)
	for _, scheme := range []string{"postgres", "postgresql"} {
		s.env["DATABASE_URL"] = fmt.Sprintf("%s://berth@127.0.0.1:1,127.0.0.1:%d/%s?connect_timeout=5", scheme, postgres.Port, s.name)
		s.succeeds(t, nil, "run")
	}
}

// What a service says of TLS holds for PostgreSQL's programs, too.
func TestService(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "pg_service.conf")
	section := fmt.Sprintf("[app]\nhost=127.0.0.1\nport=%d\nuser=berth\ndbname=%s\n", postgres.Port, s.name)
	write(t, file, section+"sslmode=disable\n", 0o600)
	s.env["DATABASE_URL"], s.env["PGSERVICE"], s.env["PGSERVICEFILE"] = "", "app", file
	// The programs see what the service says.
	bin := wrap(t, `[ "$PGSSLMODE" = disable ] || { echo "PGSSLMODE is $PGSSLMODE" >&2; exit 1; }; exec "$real/pg_dump" "$@"`)
	s.succeeds(t, nil, "run")
	if o := s.backup(t, "", map[string]string{"PG_BIN": bin}, "run", "--verify=false"); o.status != 0 {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	write(t, file, section+"sslmode=require\n", 0o600)
	if o := s.backup(t, "", nil, "run"); o.status != 1 || !strings.Contains(o.stderr, "TLS") {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	s.env["PGSERVICE"] = "none"
	if o := s.backup(t, "", nil, "run"); o.status != 2 {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
}

// Tables that come and go while a dump begins: it is dumped again, once.
func TestTablesThatGo(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t AS SELECT 1 AS i; CREATE TABLE passing_1 (); CREATE TABLE passing_2 (); CREATE TABLE passing_3 ()")
	once := filepath.Join(t.TempDir(), "once")
	drop := func(table string) string {
		return `"$real/psql" --quiet --command='DROP TABLE ` + table + `'`
	}
	bin := wrap(t, `case "$*" in *snapshot*) if mkdir '`+once+`' 2>/dev/null; then `+drop("passing_1")+`; fi ;; esac; exec "$real/pg_dump" "$@"`)
	o := s.backup(t, "", map[string]string{"PG_BIN": bin}, "run", "--verify=false")
	if o.status != 0 || !strings.Contains(o.stderr, "dumping again") {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	if len(s.objects(t)) != 3 {
		t.Errorf("in the bucket are %q", s.objects(t))
	}
	bin = wrap(t, `case "$*" in *snapshot*) if mkdir '`+once+`2' 2>/dev/null; then `+drop("passing_2")+`; else `+drop("passing_3")+`; fi ;; esac; exec "$real/pg_dump" "$@"`)
	s.fails(t, map[string]string{"PG_BIN": bin}, "tables were made or dropped meanwhile", "run")
}

// The database that is kept does not go on receiving what is meant for the other.
func TestSubscriber(t *testing.T) {
	s := newSite(t)
	name := "of_" + s.name
	s.exec(t, "CREATE SUBSCRIPTION "+name+" CONNECTION 'host=127.0.0.1 port=1 connect_timeout=1' PUBLICATION p WITH (connect = false); ALTER SUBSCRIPTION "+name+" ENABLE")
	var restored backup.Restored
	s.succeeds(t, nil, "run")
	s.succeeds(t, &restored, "restore", "--yes")
	for _, database := range []string{s.name, restored.Kept} {
		if query[bool](t, postgres.URL(database), "SELECT bool_or(subenabled) FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database()") {
			t.Errorf("the subscription of %s is enabled", database)
		}
		execute(t, postgres.URL(database), "ALTER SUBSCRIPTION "+name+" SET (slot_name = NONE)")
		execute(t, postgres.URL(database), "DROP SUBSCRIPTION "+name)
	}
}

// A scratch folder may be called what a folder may be called.
func TestScratchFolder(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"a, b", `with "quotes" and 'more'`, strings.Repeat("long", 30)} {
		parent, err := os.MkdirTemp("/tmp", "scratch-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(parent)
		scratch := filepath.Join(parent, name)
		if err := os.Mkdir(scratch, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
		if o := s.backup(t, "", map[string]string{"BACKUP_SCRATCH": scratch}, "run"); o.status != 0 {
			t.Errorf("%q: status %d:\n%s", name, o.status, o.stderr)
		}
	}
}

// Metrics of before stay in their file while the bucket is away.
func TestMetricsWhileTheBucketIsAway(t *testing.T) {
	s := newSite(t)
	s.env["METRICS_FILE"] = filepath.Join(t.TempDir(), "backup.prom")
	s.succeeds(t, nil, "run")
	proxy := s3.Proxy(t, s3test.Behaviour{Refuse: map[s3test.Kind]s3test.Refusal{s3test.List: {Times: s3test.Always, Status: 403, Code: "AccessDenied"}}})
	s.fails(t, map[string]string{"BUCKET_ENDPOINT": proxy.URL}, "the bucket's key may not do this", "run")
	metrics, err := os.ReadFile(s.env["METRICS_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nbackup_last_run_success 0\n", "\nbackup_last_verified_timestamp_seconds 1"} {
		if strings.Count(string(metrics), want) != 1 {
			t.Errorf("not one %q in the metrics:\n%s", want, metrics)
		}
	}
}
