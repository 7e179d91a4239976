package main

import (
	"fmt"
	"strings"
	"testing"

	"berth/internal/backup"
	"berth/internal/postgrestest"
)

// moving is a site on a server of the oldest version that the machine has, and another
// server, of the newest, to move to.
type moving struct {
	*site
	there string // URL of the database on the other server
	to    string // its address
}

func newMoving(t *testing.T) *moving {
	t.Helper()
	started := func(start func(...string) (*postgrestest.Server, error)) *postgrestest.Server {
		server, err := start("fsync=off", "max_prepared_transactions=2", "wal_level=logical")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
		})
		return server
	}
	old, next := started(postgrestest.StartOldest), started(postgrestest.Start)
	m := &moving{site: siteOn(t, old), to: fmt.Sprintf("127.0.0.1:%d", next.Port)}
	// As the image makes one at its first start.
	execute(t, next.URL("postgres"), "CREATE DATABASE "+m.name)
	m.there = next.URL(m.name)
	return m
}

// A server of another version has all that the old one had: rows, sequences, large
// objects, roles with their passwords, settings and rights.
func TestMove(t *testing.T) {
	m := newMoving(t)
	m.exec(t, `
		CREATE ROLE clerk LOGIN PASSWORD 'a secret';
		CREATE ROLE staff NOLOGIN; GRANT staff TO clerk;
		ALTER ROLE clerk SET work_mem = '7MB';
		CREATE SCHEMA shop AUTHORIZATION clerk;
		CREATE TYPE shop.mood AS ENUM ('good', 'bad');
		CREATE TABLE shop.orders (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), mood shop.mood, note text COLLATE "C");
		INSERT INTO shop.orders (mood, note) SELECT 'good', repeat('ä', n) FROM generate_series(1, 500) n;
		CREATE INDEX ON shop.orders (lower(note));
		GRANT SELECT ON shop.orders TO staff;
		CREATE UNLOGGED TABLE shop.cache AS SELECT 1 AS one;
		SELECT lo_from_bytea(4711, 'large');
		CREATE EXTENSION pg_trgm;
		CREATE PUBLICATION all_of_it FOR ALL TABLES`)
	m.exec(t, "ALTER DATABASE "+m.name+" SET search_path = shop, public")
	m.exec(t, "COMMENT ON DATABASE "+m.name+" IS 'moves'")

	var moved backup.Moved
	m.succeeds(t, &moved, "move", "--to", m.to)
	if moved.Rows != 501 || moved.ID == "" || len(moved.Warnings) != 0 {
		t.Errorf("the rehearsal moved %+v", moved)
	}
	// What is written between the rehearsal and the move itself.
	m.exec(t, "INSERT INTO shop.orders (mood, note) VALUES ('bad', 'late')")
	m.exec(t, "ALTER ROLE clerk PASSWORD 'another'")
	m.succeeds(t, &moved, "move", "--to", m.to)
	if moved.Rows != 502 {
		t.Errorf("moved %+v", moved)
	}
	versions := func(dump string) string {
		var lines []string
		for line := range strings.Lines(dump) {
			if !strings.HasPrefix(line, "-- Dumped from") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	if here, there := versions(pgDump(t, m.env["DATABASE_URL"])), versions(pgDump(t, m.there)); here != there {
		t.Errorf("the new server's dump differs:\n%s\nthe old one's:\n%s", there, here)
	}
	for _, sql := range []string{
		"SELECT rolpassword FROM pg_authid WHERE rolname = 'clerk'",
		"SELECT array_to_string(rolconfig, ' ') FROM pg_roles WHERE rolname = 'clerk'",
		"SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database",
		"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()",
		"SELECT datcollate || datctype || pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()",
		"SELECT nextval('shop.orders_id_seq')::text",
		"SELECT current_setting('search_path')",
	} {
		if here, there := query[string](t, m.env["DATABASE_URL"], sql), query[string](t, m.there, sql); here != there {
			t.Errorf("%s is %q on the new server, and was %q", sql, there, here)
		}
	}
	if analyzed := query[int64](t, m.there, "SELECT reltuples::bigint FROM pg_class WHERE oid = 'shop.orders'::regclass"); analyzed != 501 {
		t.Errorf("the planner knows of %d rows", analyzed)
	}
}

// What would not arrive is said before anything is done.
func TestMoveRefuses(t *testing.T) {
	m := newMoving(t)
	m.exec(t, "CREATE TABLE t (n int)")
	if o := m.backup(t, "", nil, "move"); o.status != 2 {
		t.Errorf("without --to: status %d", o.status)
	}
	m.fails(t, nil, "connect to the database", "move", "--to", "127.0.0.1:1")

	m.exec(t, "CREATE DATABASE reports")
	m.fails(t, nil, "the server also has the database reports, which would stay behind", "move", "--to", m.to)
	m.exec(t, "DROP DATABASE reports")
	m.exec(t, "CREATE DATABASE "+m.name+"_before_20260101_000000_0000")  // of an earlier restore
	m.exec(t, "CREATE DATABASE "+m.name+"_restore_20260101_000000_0000") // of one that was killed

	m.exec(t, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'half'")
	m.fails(t, nil, "1 prepared transactions wait", "move", "--to", m.to)
	m.exec(t, "COMMIT PREPARED 'half'")

	m.exec(t, "CREATE ROLE reader LOGIN")
	reader := strings.Replace(m.env["DATABASE_URL"], postgrestest.Role+"@", "reader@", 1)
	if o := m.backup(t, "", map[string]string{"DATABASE_URL": reader}, "move", "--to", m.to); o.status != 2 || !strings.Contains(o.stderr, "superuser") {
		t.Errorf("as a role that sees little: status %d: %s", o.status, o.stderr)
	}
	if entries := m.list(t); len(entries) != 0 {
		t.Errorf("%d backups were made", len(entries))
	}

	m.exec(t, "ALTER SYSTEM SET work_mem = '8MB'")
	m.exec(t, "SELECT pg_create_logical_replication_slot('follower', 'pgoutput')")
	var moved backup.Moved
	m.succeeds(t, &moved, "move", "--to", m.to)
	if said := strings.Join(moved.Warnings, "; "); !strings.Contains(said, "work_mem") || !strings.Contains(said, "follower") {
		t.Errorf("it warns of %q", said)
	}
}

// Killed half way, the old server is as it was, and another move goes all the way.
func TestMoveAgain(t *testing.T) {
	m := newMoving(t)
	m.exec(t, "CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) n")
	before := pgDump(t, m.env["DATABASE_URL"])
	// What a restore that was killed leaves: a database with another name.
	execute(t, m.there, "CREATE TABLE of_a_rehearsal (n int)")
	m.succeeds(t, nil, "run", "--verify=false")
	execute(t, m.there, "CREATE DATABASE "+m.name+"_restore_"+m.list(t)[0].ID)
	m.succeeds(t, nil, "move", "--to", m.to)
	if n := query[int](t, m.there, "SELECT count(*)::int FROM t"); n != 1000 {
		t.Errorf("there are %d rows", n)
	}
	if after := pgDump(t, m.env["DATABASE_URL"]); after != before {
		t.Errorf("the old server has changed:\n%s", after)
	}
}
