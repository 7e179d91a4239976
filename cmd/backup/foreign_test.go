package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
)

// These are databases as other people have them.

// The rows of partitions by the hash of an enum come under their root.
func TestPartitionsByHashOfAnEnum(t *testing.T) {
	for _, format := range []string{"plain", "custom"} {
		s := newSite(t)
		s.env["BACKUP_FORMAT"] = format
		s.exec(t, `
			CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
			CREATE TABLE h (m mood NOT NULL, n int) PARTITION BY HASH (m);
			CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0);
			CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY HASH (m);
			CREATE TABLE h10 PARTITION OF h1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
			CREATE TABLE h11 PARTITION OF h1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
			INSERT INTO h SELECT (ARRAY['sad', 'ok', 'happy']::mood[])[1 + n % 3], n FROM generate_series(1, 300) n`)
		var made backup.Manifest
		s.succeeds(t, &made, "run")
		if made.Tables["public.h"].Rows != 300 || s.list(t)[0].State() != "verified" {
			t.Errorf("%s: %+v, %s", format, made.Tables, s.list(t)[0].State())
		}
		s.exec(t, "TRUNCATE h")
		s.succeeds(t, nil, "restore", "--yes", made.ID)
		if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM h"); got != 300 {
			t.Errorf("%s: restored are %d rows", format, got)
		}
		s.fails(t, map[string]string{"PG_BIN": wrap(t, `exec "$real/pg_dump" --exclude-table=h10 "$@"`)}, "pg_dump left out table public.h", "run")
	}
}

// Databases of testdata/strangers come back as they were. Lines "-- warns:" are what
// the backup has to say of them, and all of it.
func TestStrangers(t *testing.T) {
	files, err := filepath.Glob("testdata/strangers/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s := newSite(t)
			u := s.env["DATABASE_URL"]
			load := exec.Command(filepath.Join(postgres.Bin, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--dbname="+u, "--file="+file)
			if said, err := load.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			warns := regexp.MustCompile(`(?m)^-- warns: (.*)$`).FindAllStringSubmatch(string(text), -1)
			before := pgDump(t, u)
			var made backup.Manifest
			s.succeeds(t, &made, "run")
			if len(made.Warnings) != len(warns) {
				t.Errorf("it warns of %q", made.Warnings)
			}
			for _, warning := range warns {
				if !strings.Contains(strings.Join(made.Warnings, "\n"), warning[1]) {
					t.Errorf("it warns of %q, and not of %s", made.Warnings, warning[1])
				}
			}
			if len(warns) > 0 {
				return // It does not come back whole.
			}
			s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup")
			if diff := cmp.Diff(before, pgDump(t, u)); diff != "" {
				t.Errorf("it comes back differently (-want +got):\n%s", diff)
			}
		})
	}
}

// A database with prepared transactions cannot be renamed: that is said before the work
// begins, and not after it.
func TestPreparedTransactions(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t AS SELECT 1 AS i")
	s.succeeds(t, nil, "run")
	s.exec(t, "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'of "+s.name+"'")
	s.fails(t, nil, "prepared transactions of database "+s.name+" keep it from being replaced: of "+s.name, "restore", "--yes")
	if entries := s.list(t); len(entries) != 1 {
		t.Errorf("a safety backup was made before: %+v", entries)
	}
	s.exec(t, "ROLLBACK PREPARED 'of "+s.name+"'")
	s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup")
}

// created is what "pg_dump --create" says of a database beside its contents.
func created(t *testing.T, database string) string {
	t.Helper()
	command := exec.Command(filepath.Join(postgres.Bin, "pg_dump"), "--create", "--schema-only", "--dbname="+database)
	command.Env = append(os.Environ(), "PGOPTIONS=-c statement_timeout=0")
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^\\(un)?restrict .*\n`).ReplaceAllString(string(output), "")
}

// All that belongs to the database itself is as it was, and its settings are there
// for what reads them while it is loaded.
func TestTheDatabaseItself(t *testing.T) {
	s := newSite(t)
	database := pgx.Identifier{s.name}.Sanitize()
	owner, friend := s.name+"_owner", s.name+` "friend"`
	for _, statement := range []string{
		"CREATE ROLE " + owner + " LOGIN", "CREATE ROLE " + pgx.Identifier{friend}.Sanitize(),
		"ALTER DATABASE " + database + " OWNER TO " + owner,
		"ALTER DATABASE " + database + " SET app.tenant = 'it''s \"x\" \\ y'",
		"ALTER DATABASE " + database + ` SET search_path = "$user", public, "with, comma", "with ""quote"`,
		"ALTER DATABASE " + database + " SET DateStyle = 'German'",
		"ALTER DATABASE " + database + " SET default_transaction_read_only = on",
		"ALTER DATABASE " + database + " SET statement_timeout = '20ms'",
		"ALTER DATABASE " + database + " SET temp_tablespaces = ''",
		"ALTER ROLE " + owner + " IN DATABASE " + database + " SET work_mem = '8MB'",
		"ALTER ROLE " + pgx.Identifier{friend}.Sanitize() + " IN DATABASE " + database + " SET search_path = private",
		"ALTER DATABASE " + database + " CONNECTION LIMIT 17",
		"ALTER DATABASE " + database + " IS_TEMPLATE true",
		"COMMENT ON DATABASE " + database + ` IS E'it\'s a \\ comment\non two lines'`,
		"REVOKE CONNECT, TEMPORARY ON DATABASE " + database + " FROM PUBLIC",
		"REVOKE TEMPORARY ON DATABASE " + database + " FROM " + owner,
		"GRANT CONNECT, CREATE ON DATABASE " + database + " TO " + pgx.Identifier{friend}.Sanitize() + " WITH GRANT OPTION",
		"SET ROLE " + pgx.Identifier{friend}.Sanitize() + "; GRANT CONNECT ON DATABASE " + database + " TO pg_monitor; RESET ROLE",
	} {
		execute(t, postgres.URL("postgres"), statement)
	}
	execute(t, s.env["DATABASE_URL"]+"?default_transaction_read_only=off&statement_timeout=0&search_path=public", `
		CREATE TABLE t (tenant text CHECK (tenant = current_setting('app.tenant')));
		INSERT INTO t VALUES (current_setting('app.tenant'));
		CREATE MATERIALIZED VIEW m AS SELECT current_setting('app.tenant') AS tenant, 'x'::text AS "1.2.2026"`)
	before := created(t, s.env["DATABASE_URL"])
	for _, want := range []string{"CONNECTION LIMIT = 17", "IN DATABASE", "COMMENT ON DATABASE", "IS_TEMPLATE", "GRANT CONNECT ON DATABASE", "SET SESSION AUTHORIZATION"} {
		if !strings.Contains(before, want) {
			t.Fatalf("the test's database has no %q:\n%s", want, before)
		}
	}
	s.succeeds(t, nil, "run")
	s.succeeds(t, nil, "restore", "--yes")
	if diff := cmp.Diff(before, created(t, s.env["DATABASE_URL"])); diff != "" {
		t.Errorf("it is created differently (-want +got):\n%s", diff)
	}
	// Nobody's privileges are not PostgreSQL's own.
	execute(t, postgres.URL("postgres"), "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC, "+owner+", "+pgx.Identifier{friend}.Sanitize()+" CASCADE")
	before = created(t, s.env["DATABASE_URL"])
	var made backup.Manifest
	s.succeeds(t, &made, "run", "--verify=false")
	s.succeeds(t, nil, "restore", "--yes", "--no-safety-backup", made.ID)
	if diff := cmp.Diff(before, created(t, s.env["DATABASE_URL"])); diff != "" {
		t.Errorf("without privileges it is created differently (-want +got):\n%s", diff)
	}
}

// The columns of pg_database are those that this package knows. A version with
// another one fails here, and somebody has to see whether it must be kept.
func TestColumnsOfPgDatabase(t *testing.T) {
	known := map[string]bool{}
	for _, column := range strings.Fields(`oid datname datdba encoding datlocprovider datistemplate datallowconn datconnlimit dattablespace
		datcollate datctype daticulocale datlocale daticurules datacl
		datfrozenxid datminmxid datlastsysoid datcollversion dathasloginevt`) { // the last line says nothing of what it was made like
		known[column] = true
	}
	for column := range strings.SplitSeq(query[string](t, postgres.URL("postgres"), "SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = 'pg_database'::regclass AND attnum > 0"), " ") {
		if !known[column] {
			t.Errorf("pg_database.%s is new", column)
		}
	}
}

// What the role may not see, the backup says that it does not hold.
func TestWhatTheRoleMayNotSee(t *testing.T) {
	s := newSite(t)
	s.exec(t, `CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
		CREATE USER MAPPING FOR berth SERVER far OPTIONS (user 'u', password 'p');
		CREATE SUBSCRIPTION sub_of_`+s.name+` CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)`)
	t.Cleanup(func() {
		s.exec(t, `ALTER SUBSCRIPTION sub_of_`+s.name+` SET (slot_name = NONE); DROP SUBSCRIPTION sub_of_`+s.name+``)
	})
	var made backup.Manifest
	s.succeeds(t, &made, "run")
	if len(made.Warnings) > 0 {
		t.Errorf("a superuser is told %q", made.Warnings)
	}
	s.env["BACKUP_ROLE_PASSWORD"] = "x"
	s.succeeds(t, nil, "grant", "--role=nearsighted")
	reader := mustParse(t, s.env["DATABASE_URL"])
	reader.User = url.User("nearsighted")
	o := s.backup(t, "", map[string]string{"DATABASE_URL": reader.String()}, "run")
	said := strings.Join(s.list(t)[0].Warnings, "\n")
	for _, want := range []string{"options of the user mapping for berth on server far", "subscriptions not dumped because current user is not a superuser"} {
		if o.status != 0 || !strings.Contains(said, want) || !strings.Contains(o.stderr, want) {
			t.Errorf("status %d, want %q in the manifest:\n%s\nand in what is said:\n%s", o.status, want, said, o.stderr)
		}
	}
	o = s.backup(t, "", nil, "restore")
	if !strings.Contains(o.stderr, "subscriptions not dumped") {
		t.Errorf("the prompt does not say it:\n%s", o.stderr)
	}
}

// Dumps that PostgreSQL itself cannot load, for a fault of the database's.
var doNotLoad = map[string]struct{ sql, line string }{
	"a CHECK that reads another table": {`
		CREATE TABLE allowed (code text PRIMARY KEY);
		INSERT INTO allowed VALUES ('a'), ('b');
		CREATE FUNCTION is_allowed(c text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT EXISTS (SELECT 1 FROM allowed WHERE code = c) $$;
		CREATE TABLE a_item (code text CHECK (is_allowed(code)));
		INSERT INTO a_item VALUES ('a')`, `relation "allowed" does not exist`},
	"a CHECK that reads what is loaded later": {`
		CREATE TABLE z_allowed (code text PRIMARY KEY);
		INSERT INTO z_allowed VALUES ('a'), ('b');
		CREATE FUNCTION is_allowed(c text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (SELECT 1 FROM public.z_allowed WHERE code = c); END $$;
		CREATE TABLE a_item (code text CHECK (is_allowed(code)));
		INSERT INTO a_item VALUES ('a')`, `violates check constraint "a_item_code_check"`},
	"a materialized view that reads by a text": {`
		CREATE TABLE doc (id int, body tsvector);
		INSERT INTO doc VALUES (1, to_tsvector('english', 'hello backup world'));
		CREATE MATERIALIZED VIEW words AS SELECT word FROM ts_stat('SELECT body FROM doc')`, `relation "doc" does not exist`},
}

// A dump that does not load is damaged, in PostgreSQL's own words. The verified one
// from before is what a restore takes, old ones are pruned, and the alert goes off.
func TestDoesNotLoad(t *testing.T) {
	for name, test := range doNotLoad {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.exec(t, "CREATE TABLE t AS SELECT 1 AS i")
			var oldest, good backup.Manifest
			s.succeeds(t, &oldest, "run")
			s.succeeds(t, &good, "run")
			s.exec(t, test.sql)
			s.env["METRICS_FILE"] = filepath.Join(t.TempDir(), "backup.prom")
			s.env["BACKUP_KEEP_LAST"], s.env["BACKUP_KEEP_DAILY"], s.env["BACKUP_KEEP_WEEKLY"], s.env["BACKUP_KEEP_MONTHLY"] = "1", "0", "0", "0"
			s.fails(t, nil, "does not load", "run")
			entries := s.list(t)
			if len(entries) != 2 || entries[0].State() != "damaged: does not load" || !strings.Contains(entries[0].Verified.Problem, test.line) || entries[1].ID != good.ID {
				t.Fatalf("the list is %+v", entries)
			}
			var restored backup.Restored
			s.succeeds(t, &restored, "restore", "--yes", "--no-safety-backup")
			if restored.ID != good.ID {
				t.Errorf("restored is %s, want %s", restored.ID, good.ID)
			}
			metrics, err := os.ReadFile(s.env["METRICS_FILE"])
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"\nbackup_last_run_success 0\n", "\nbackup_last_verified_timestamp_seconds 1", "\nbackup_last_success_timestamp_seconds 1"} {
				if !strings.Contains(string(metrics), want) {
					t.Errorf("there is no %q in the metrics:\n%s", want, metrics)
				}
			}
		})
	}
}

// A restore without an ID takes a verified backup before a newer one that nobody has
// tried; verifying takes that one.
func TestTheNewestVerified(t *testing.T) {
	s := newSite(t)
	var good, untried backup.Manifest
	s.succeeds(t, &good, "run")
	s.succeeds(t, &untried, "run", "--verify=false")
	var restored backup.Restored
	s.succeeds(t, &restored, "restore", "--yes", "--no-safety-backup")
	if restored.ID != good.ID {
		t.Errorf("restored is %s, want %s", restored.ID, good.ID)
	}
	var verified backup.Verification
	s.succeeds(t, &verified, "verify")
	if verified.ID != untried.ID {
		t.Errorf("verified is %s, want %s", verified.ID, untried.ID)
	}
}

// Sessions of the job are protected from what others have set for theirs.
func TestTimeouts(t *testing.T) {
	s := newSite(t)
	s.exec(t, everything)
	// Of a role that the other tests do not use.
	execute(t, postgres.URL("postgres"), "CREATE ROLE hurried LOGIN SUPERUSER")
	for _, setting := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		execute(t, postgres.URL("postgres"), "ALTER ROLE hurried SET "+setting+" = '30ms'")
	}
	// Nor does it matter how it likes its dumps, which the scratch server does not know.
	for _, setting := range []string{"quote_all_identifiers = on", "standard_conforming_strings = off", "array_nulls = off", "transform_null_equals = on", "extra_float_digits = 0"} {
		execute(t, postgres.URL("postgres"), "ALTER ROLE hurried SET "+setting)
	}
	s.exec(t, `CREATE TABLE "back\slash" (id serial, a text[] DEFAULT '{NULL,"NULL"}', f float8 DEFAULT 0.1::float8 + 0.2::float8); INSERT INTO "back\slash" DEFAULT VALUES`)
	execute(t, postgres.URL("postgres"), "ALTER ROLE hurried SET idle_session_timeout = '3s'")
	u := mustParse(t, s.env["DATABASE_URL"])
	u.User = url.User("hurried")
	s.env["DATABASE_URL"] = u.String()
	s.succeeds(t, nil, "run")
	s.env["PG_BIN"] = wrap(t, `sleep 4; exec "$real/pg_dump" "$@"`)
	s.succeeds(t, nil, "restore", "--yes")
}
