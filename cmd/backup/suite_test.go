package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/postgrestest"
	"berth/internal/s3test"
)

// The tests run the command against a real PostgreSQL and a real S3 server.
var (
	postgres *postgrestest.Server
	s3       *s3test.Server
)

func TestMain(m *testing.M) { os.Exit(suite(m)) }

func suite(m *testing.M) int {
	var err error
	if postgres, err = postgrestest.Start("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_prepared_transactions=2"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer postgres.Stop()
	if s3, err = s3test.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s3.Stop()
	template, err := os.MkdirTemp("", "scratch-template-")
	if err == nil {
		err = os.Setenv(backup.TemplateVariable, template)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(template)
	return m.Run()
}

// site is a database and a bucket, as the environment names them.
type site struct {
	name string // of the database
	env  map[string]string
}

func newSite(t *testing.T) *site {
	t.Helper()
	return siteOn(t, postgres)
}

// siteOn has its database on a server.
func siteOn(t *testing.T, server *postgrestest.Server) *site {
	t.Helper()
	u := server.Database(t)
	return &site{strings.TrimPrefix(mustParse(t, u).Path, "/"), map[string]string{
		"DATABASE_URL": u, "BUCKET_ENDPOINT": "http://" + s3.Address, "BUCKET_NAME": s3.Bucket(t), "BUCKET_REGION": "us-east-1",
		"BUCKET_ACCESS_KEY": s3test.AccessKey, "BUCKET_SECRET_KEY": s3test.SecretKey, "BUCKET_BACKOFF": "1ms",
	}}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// outcome is what a command came to.
type outcome struct {
	status         int
	stdout, stderr string
}

// backup runs the command in the site's environment, with more variables set.
func (s *site) backup(t *testing.T, stdin string, env map[string]string, arguments ...string) outcome {
	t.Helper()
	for name, value := range s.env {
		t.Setenv(name, value)
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), arguments, strings.NewReader(stdin), &stdout, &stderr)
	for name := range env {
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	return outcome{status, stdout.String(), stderr.String()}
}

// succeeds fails the test unless the command succeeds, and reads its JSON.
func (s *site) succeeds(t *testing.T, into any, arguments ...string) {
	t.Helper()
	o := s.backup(t, "", nil, arguments...)
	if o.status != 0 {
		t.Fatalf("backup %s: status %d:\n%s", strings.Join(arguments, " "), o.status, o.stderr)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(o.stdout), into); err != nil {
			t.Fatalf("backup %s: %v:\n%s", strings.Join(arguments, " "), err, o.stdout)
		}
	}
}

// fails fails the test unless the command fails and says so.
func (s *site) fails(t *testing.T, env map[string]string, wants string, arguments ...string) {
	t.Helper()
	o := s.backup(t, "", env, arguments...)
	if o.status != 1 || !strings.Contains(o.stderr, wants) {
		t.Errorf("backup %s: status %d, want 1 and %q in:\n%s", strings.Join(arguments, " "), o.status, wants, o.stderr)
	}
}

// list is what "backup list" says.
func (s *site) list(t *testing.T) (entries []backup.Entry) {
	t.Helper()
	s.succeeds(t, &entries, "list", "--json")
	return entries
}

// exec runs SQL in the site's database.
func (s *site) exec(t *testing.T, sql string) {
	t.Helper()
	execute(t, s.env["DATABASE_URL"], sql)
}

func execute(t *testing.T, database, sql string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
}

// query returns the only value of a query in a database.
func query[T any](t *testing.T, database, sql string) (value T) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if err := c.QueryRow(ctx, sql).Scan(&value); err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	return value
}

// path is where the server keeps an object of the site's bucket.
func (s *site) path(object string) string {
	return filepath.Join(s3.Folder, s.env["BUCKET_NAME"], "backups", object)
}

// objects lists what is in the bucket, unfinished uploads and all.
func (s *site) objects(t *testing.T) (names []string) {
	t.Helper()
	root := filepath.Join(s3.Folder, s.env["BUCKET_NAME"])
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// pgDump is what pg_dump says of a database, but for its random key.
func pgDump(t *testing.T, database string) string {
	t.Helper()
	command := exec.Command(filepath.Join(postgres.Bin, "pg_dump"), "--dbname="+database)
	var said strings.Builder
	command.Stderr = &said
	output, err := command.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v\n%s", err, said.String())
	}
	var lines []string
	for line := range strings.Lines(string(output)) {
		if !strings.HasPrefix(line, `\restrict `) && !strings.HasPrefix(line, `\unrestrict `) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// everything is a database with what is unusual.
const everything = `
CREATE EXTENSION hstore;
CREATE EXTENSION pgcrypto;
CREATE SCHEMA "Schema with ""quotes""";
CREATE TABLE "Schema with ""quotes"""."táble ✓ 'x'
COPY y FROM stdin;" ("a ""b""" int PRIMARY KEY, "é" text, h hstore, d timestamptz, b bytea, f float8);
INSERT INTO "Schema with ""quotes"""."táble ✓ 'x'
COPY y FROM stdin;" SELECT n, E'line\n\\.\nline\t' || n, 'a=>1', '2026-03-29 01:59:59+00', '\x00ff'::bytea, n / 3.0 FROM generate_series(1, 100) n;
CREATE TABLE empty (id int);
CREATE TABLE columnless ();
INSERT INTO columnless DEFAULT VALUES;
CREATE TABLE parted (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
INSERT INTO parted SELECT n, date '2026-01-01' + n FROM generate_series(0, 300) n;
CREATE TABLE article (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, body text);
INSERT INTO article (title, body) SELECT 'Title ' || n, repeat(md5(n::text), 1 + n % 90) FROM generate_series(1, 2000) n;
CREATE INDEX ON article (title);
CREATE VIEW titles AS SELECT title FROM article;
CREATE FUNCTION tricky() RETURNS text LANGUAGE plpgsql AS $$BEGIN
RETURN '
COPY article (id) FROM stdin;
1
-- PostgreSQL database dump complete
'; END$$;
COMMENT ON TABLE article IS E'-- Data for Name: x; Type: TABLE DATA; \nCOPY x FROM stdin;';
SELECT lo_from_bytea(0, decode(repeat('c0ffee', 20000), 'hex'));
SELECT lo_from_bytea(0, 'small');
`
