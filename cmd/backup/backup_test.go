package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/s3test"
)

// What is backed up is verified, and restored it dumps to the same text.
func TestRestoresTheSame(t *testing.T) {
	s := newSite(t)
	s.exec(t, everything)
	for _, setting := range []string{"work_mem = '8MB'", `search_path = public, "$user"`, "own.setting = 'it''s, \"this\"'"} {
		s.exec(t, "ALTER DATABASE "+pgx.Identifier{s.name}.Sanitize()+" SET "+setting)
	}
	const settings = "SELECT string_agg(setting, ' ' ORDER BY setting) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) setting WHERE datname = current_database()"
	settingsBefore := query[string](t, s.env["DATABASE_URL"], settings)
	before := pgDump(t, s.env["DATABASE_URL"])

	var made backup.Manifest
	s.succeeds(t, &made, "run")
	if made.Rows() != 100+1+301+2000 || made.Tables["public.article"].Rows != 2000 || len(made.Tables) != 6 || made.LargeObjects.Rows == 0 {
		t.Errorf("the manifest counts %d rows, %d pieces of large objects, tables %v", made.Rows(), made.LargeObjects.Rows, made.Tables)
	}
	entries := s.list(t)
	if len(entries) != 1 || entries[0].State() != "verified" || !entries[0].Verified.SameSchema {
		t.Fatalf("the list is %+v", entries)
	}

	s.exec(t, "DELETE FROM article; DROP TABLE parted CASCADE; SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
	var restored backup.Restored
	s.succeeds(t, &restored, "restore", "--yes", made.ID)
	if diff := cmp.Diff(before, pgDump(t, s.env["DATABASE_URL"])); diff != "" {
		t.Errorf("the restored database dumps differently (-want +got):\n%s", diff)
	}
	if got := query[string](t, s.env["DATABASE_URL"], settings); got != settingsBefore {
		t.Errorf("the database's own settings are %s, want %s", got, settingsBefore)
	}
	kept := postgres.URL(restored.Kept)
	if got := query[int](t, kept, "SELECT count(*) FROM article"); got != 0 {
		t.Errorf("the database that was kept has %d articles", got)
	}
	if entries := s.list(t); len(entries) != 2 || entries[0].ID != restored.Safety || entries[0].Rows() != 101 {
		t.Errorf("the safety backup is missing: %+v", entries)
	}
}

// From a laptop with nothing but the bucket's key, s3cmd, zstd and psql, by the
// commands of docs/backups.md.
func TestRestoresWithPlainTools(t *testing.T) {
	s := newSite(t)
	s.exec(t, everything)
	var made backup.Manifest
	s.succeeds(t, &made, "run", "--verify=false")
	target, dir := postgres.Database(t), t.TempDir()
	write(t, filepath.Join(dir, "s3cfg"), s3cfg(), 0o600)
	script := exec.Command("bash", "-euo", "pipefail", "-c", `
		s3cmd --config=s3cfg --quiet get s3://$BUCKET/backups/$ID.manifest.json s3://$BUCKET/backups/$ID.sql.zst s3://$BUCKET/backups/$ID.globals.sql.zst .
		sum=$(grep -A 3 '"dump"' $ID.manifest.json | sed -n 's/.*"sha256": "\(.*\)".*/\1/p')
		echo "$sum  $ID.sql.zst" | sha256sum --check --quiet
		zstd -dc $ID.sql.zst | tail -n 8 | grep -q "PostgreSQL database dump complete"
		zstd -dc $ID.globals.sql.zst | psql --no-psqlrc --quiet --dbname="$SERVER" 2>/dev/null
		zstd -dc $ID.sql.zst | psql --no-psqlrc --set ON_ERROR_STOP=1 --quiet --output=/dev/null --dbname="$TARGET"`)
	script.Dir = dir
	script.Env = append(os.Environ(), "BUCKET="+s.env["BUCKET_NAME"], "ID="+made.ID, "SERVER="+postgres.URL("postgres"), "TARGET="+target)
	if output, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v (the test needs s3cmd and zstd):\n%s", err, output)
	}
	if diff := cmp.Diff(pgDump(t, s.env["DATABASE_URL"]), pgDump(t, target)); diff != "" {
		t.Errorf("it dumps differently (-want +got):\n%s", diff)
	}
	file := filepath.Join(dir, "dump.sql")
	s.succeeds(t, nil, "get", "--output", file)
	plain, err := exec.Command("zstd", "-dc", s.path(made.Dump.Name)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("backup get gives %d bytes, want %d (%v)", len(got), len(plain), err)
	}
}

// s3cfg is the configuration of s3cmd for the tests' server.
func s3cfg() string {
	return "[default]\naccess_key = " + s3test.AccessKey + "\nsecret_key = " + s3test.SecretKey +
		"\nhost_base = " + s3.Address + "\nhost_bucket = " + s3.Address + "\nuse_https = False\nbucket_location = us-east-1\n"
}

// s3cmd's configuration says what the environment leaves open.
func TestS3cfg(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "s3cfg")
	write(t, file, s3cfg(), 0o600)
	for _, name := range []string{"BUCKET_ENDPOINT", "BUCKET_REGION", "BUCKET_ACCESS_KEY", "BUCKET_SECRET_KEY"} {
		s.env[name] = ""
	}
	s.env["S3CFG"] = filepath.Join(t.TempDir(), "none")
	if o := s.backup(t, "", nil, "list"); o.status != 2 || !strings.Contains(o.stderr, "the bucket's endpoint is not set") {
		t.Errorf("without it: status %d:\n%s", o.status, o.stderr)
	}
	s.env["S3CFG"] = file
	s.succeeds(t, nil, "run", "--verify=false")
}

// A bucket's certificate must be of the authority that is named, or of one that
// the system trusts.
func TestBucketOverTLS(t *testing.T) {
	target, err := url.Parse("http://" + s3.Address)
	if err != nil {
		t.Fatal(err)
	}
	// Rewrite alone would send the target's name, which the client did not sign.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	server := httptest.NewUnstartedServer(proxy)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is to fail
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), 0o600)
	s := newSite(t)
	s.env["BUCKET_ENDPOINT"] = server.URL
	s.fails(t, nil, "certificate signed by unknown authority", "run", "--verify=false")
	s.env["BUCKET_CA_FILE"] = ca
	s.succeeds(t, nil, "run")
}

func TestNothingToBackUp(t *testing.T) {
	s := newSite(t)
	var made backup.Manifest
	s.succeeds(t, &made, "run")
	if made.Rows() != 0 || len(made.Tables) != 0 || s.list(t)[0].State() != "verified" {
		t.Errorf("an empty database: %+v", s.list(t)[0])
	}
	s.exec(t, "CREATE TABLE none (i int)")
	s.succeeds(t, &made, "run")
	if table, there := made.Tables["public.none"]; !there || table.Rows != 0 || s.list(t)[0].State() != "verified" {
		t.Errorf("an empty table: %+v", s.list(t)[0])
	}
}

// A database's name, its owner's and its encoding may be whatever PostgreSQL
// takes.
func TestUnusualDatabase(t *testing.T) {
	s := newSite(t)
	name, owner := `--we"ird 'näme' dbname=x ✓`, `ow"ner `+s.name
	execute(t, postgres.URL("postgres"), "CREATE ROLE "+pgx.Identifier{owner}.Sanitize())
	execute(t, postgres.URL("postgres"), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0 ENCODING LATIN1 LOCALE 'C' OWNER "+pgx.Identifier{owner}.Sanitize())
	u := mustParse(t, postgres.URL(""))
	u.Path = "/" + name
	s.env["DATABASE_URL"], s.name = u.String(), name
	u.RawQuery = "client_encoding=UTF8" // for the test's own sessions
	execute(t, u.String(), `CREATE TABLE "ä" AS SELECT 'ü' AS "ö"`)
	var made backup.Manifest
	s.succeeds(t, &made, "run")
	if made.Database.Encoding != "LATIN1" || made.Tables[`public."ä"`].Rows != 1 {
		t.Errorf("the manifest is %+v", made)
	}
	execute(t, u.String(), `DELETE FROM "ä"`)
	s.succeeds(t, nil, "restore", "--yes", made.ID)
	got := query[string](t, u.String(), `SELECT "ö" || pg_get_userbyid(datdba) || getdatabaseencoding() FROM "ä", pg_database WHERE datname = current_database()`)
	if want := "ü" + owner + "LATIN1"; got != want {
		t.Errorf("restored: %s, want %s", got, want)
	}
}

// While clients come and go, a restore swaps the databases: each of them sees
// the one or the other, and never neither of them for long.
func TestRestoreUnderLoad(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t AS SELECT 'restored' AS state")
	s.succeeds(t, nil, "run", "--verify=false")
	s.exec(t, "UPDATE t SET state = 'lost'")
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var seen sync.Map
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				c, err := pgx.Connect(ctx, s.env["DATABASE_URL"])
				if err != nil {
					// The name is away for no longer than it takes to try again.
					continue
				}
				for err == nil {
					var state string
					if err = c.QueryRow(ctx, "SELECT state FROM t").Scan(&state); err == nil {
						seen.Store(state, true)
					}
				}
				_ = c.Close(context.WithoutCancel(ctx)) // It was ended from the other side.
			}
		})
	}
	s.succeeds(t, nil, "restore", "--yes", s.list(t)[0].ID)
	if got := query[string](t, s.env["DATABASE_URL"], "SELECT state FROM t"); got != "restored" {
		t.Errorf("the state is %s", got)
	}
	time.Sleep(100 * time.Millisecond) // for the clients to have come back
	stop()
	clients.Wait()
	for _, state := range []string{"lost", "restored"} {
		if _, ok := seen.Load(state); !ok {
			t.Errorf("no client has seen the state %q", state)
		}
	}
}

// Stopped in the middle, neither a run nor a restore leaves or changes anything.
func TestInterrupted(t *testing.T) {
	for _, test := range []struct{ program, command string }{{"pg_dump", "run"}, {"psql", "restore --yes --no-safety-backup"}} {
		t.Run(test.command, func(t *testing.T) {
			s := newSite(t)
			s.exec(t, everything)
			s.succeeds(t, nil, "run")
			before := s.objects(t)
			gate := filepath.Join(t.TempDir(), "gate")
			if err := syscall.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			bin := wrap(t, `exec "$real/pg_dump" "$@"`)
			write(t, filepath.Join(bin, test.program), "#!/bin/sh\n[ \"$1\" != --version ] || exec '"+postgres.Bin+"/pg_dump' --version\nexec cat '"+gate+"'\n", 0o755)
			t.Setenv("PG_BIN", bin)
			for name, value := range s.env {
				t.Setenv(name, value)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				// Opening returns when the program is there to be interrupted.
				if file, err := os.OpenFile(gate, os.O_WRONLY, 0); err == nil {
					cancel()
					time.Sleep(10 * time.Millisecond)
					file.Close()
				}
			}()
			var stdout, stderr strings.Builder
			if status := run(ctx, strings.Fields(test.command), nil, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), "context canceled") {
				t.Errorf("status %d:\n%s", status, stderr.String())
			}
			if diff := cmp.Diff(before, s.objects(t)); diff != "" {
				t.Errorf("the bucket has changed (-want +got):\n%s", diff)
			}
			if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM article"); got != 2000 {
				t.Errorf("the database has %d articles", got)
			}
			if got := query[int](t, postgres.URL("postgres"), "SELECT count(*) FROM pg_database WHERE datname LIKE '"+s.name+"\\_%'"); got != 0 {
				t.Errorf("%d other databases are left", got)
			}
		})
	}
}

// No password shows in the arguments of a program, in the log or in an error.
func TestSecretsStayHidden(t *testing.T) {
	s := newSite(t)
	u := mustParse(t, s.env["DATABASE_URL"])
	u.User = url.UserPassword("berth", "geheim")
	s.env["DATABASE_URL"] = u.String()
	arguments := filepath.Join(t.TempDir(), "arguments")
	bin := wrap(t, `echo "$@" >>'`+arguments+`'; echo "$PGPASSWORD" | grep -q '^geheim$' || exit 9; exec "$real/pg_dump" "$@"`)
	o := s.backup(t, "", map[string]string{"PG_BIN": bin}, "run", "--verify=false")
	if o.status != 0 {
		t.Fatalf("status %d:\n%s", o.status, o.stderr)
	}
	given, err := os.ReadFile(arguments)
	if err != nil {
		t.Fatal(err)
	}
	all := o.stdout + o.stderr + string(given)
	u.Host, u.RawQuery = "127.0.0.1:1", ""
	o = s.backup(t, "", map[string]string{"DATABASE_URL": u.String()}, "run")
	all += o.stderr
	o = s.backup(t, "", map[string]string{"DATABASE_URL": "postgres://berth:geheim@%zz/"}, "run")
	all += o.stderr
	o = s.backup(t, "", map[string]string{"BUCKET_NAME": "none-such"}, "run")
	all += o.stderr
	for _, secret := range []string{"geheim", s3test.SecretKey} {
		if strings.Contains(all, secret) {
			t.Errorf("%q shows in:\n%s", secret, all)
		}
	}
}

func TestRestoreAsks(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t (i int)")
	s.succeeds(t, nil, "run", "--verify=false")
	s.exec(t, "INSERT INTO t VALUES (1)")
	if o := s.backup(t, "yes\n", nil, "restore"); o.status != 2 || !strings.Contains(o.stderr, "nothing was done") {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM t"); got != 1 {
		t.Error("it restored all the same")
	}
	if o := s.backup(t, s.name+"\n", nil, "restore", "--no-safety-backup"); o.status != 0 {
		t.Errorf("status %d:\n%s", o.status, o.stderr)
	}
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM t"); got != 0 {
		t.Error("it did not restore")
	}
}
