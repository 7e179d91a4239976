package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"berth/internal/backup"
	"berth/internal/s3test"
)

// Pruning keeps the newest verified backup even when all newer ones are bad,
// and sweeps only what is old, the job's own, and counts for nothing.
func TestPrune(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t AS SELECT 1 AS i")
	var oldest, good, bad backup.Manifest
	s.succeeds(t, &oldest, "run", "--verify=false")
	s.succeeds(t, &good, "run")
	s.succeeds(t, &bad, "run", "--verify=false")
	change(t, s.path(bad.Dump.Name), func(data []byte) []byte { data[len(data)/2] ^= 1; return data })
	s.fails(t, nil, "the backup is damaged", "verify", bad.ID)

	twoDaysAgo := time.Now().Add(-48 * time.Hour)
	for name, age := range map[string]time.Time{
		"20200101_000000_0000.sql.zst": twoDaysAgo, "20200101_000000_0001.sql.zst": time.Now(), "notes.txt": twoDaysAgo,
	} {
		write(t, s.path(name), "x", 0o600)
		if err := os.Chtimes(s.path(name), age, age); err != nil {
			t.Fatal(err)
		}
	}
	client, err := minio.NewCore(s3.Address, &minio.Options{Creds: credentials.NewStaticV4(s3test.AccessKey, s3test.SecretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	upload, err := client.NewMultipartUpload(t.Context(), s.env["BUCKET_NAME"], "backups/20200101_000000_0002.sql.zst", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o := s.backup(t, "", map[string]string{"BACKUP_KEEP_LAST": "0", "BACKUP_KEEP_DAILY": "0", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0"}, "prune"); o.status != 2 {
		t.Errorf("keeping nothing: status %d:\n%s", o.status, o.stderr)
	}
	keep := map[string]string{"BACKUP_KEEP_LAST": "1", "BACKUP_KEEP_DAILY": "0", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0"}
	o := s.backup(t, "", keep, "prune")
	var pruned backup.Pruned
	if err := json.Unmarshal([]byte(o.stdout), &pruned); err != nil {
		t.Fatalf("%v: %s%s", err, o.stdout, o.stderr)
	}
	if !slices.Equal(pruned.Backups, []string{oldest.ID}) || !slices.Equal(pruned.Orphans, []string{"20200101_000000_0000.sql.zst"}) || pruned.Uploads != 0 {
		t.Errorf("pruned %+v", pruned)
	}
	var left []string
	for _, entry := range s.list(t) {
		left = append(left, entry.ID+" "+entry.State())
	}
	if want := []string{bad.ID + " damaged", good.ID + " verified"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
	for _, name := range []string{"20200101_000000_0001.sql.zst", "notes.txt"} {
		if _, err := os.Stat(s.path(name)); err != nil {
			t.Errorf("%s is gone", name)
		}
	}
	s.succeeds(t, nil, "verify", good.ID)

	// The upload is as old as the folder that the server keeps it in.
	var folder string
	err = filepath.WalkDir(filepath.Join(s3.Folder, s.env["BUCKET_NAME"]), func(path string, entry os.DirEntry, err error) error {
		if entry.IsDir() && entry.Name() == upload {
			folder = path
		}
		return err
	})
	if err != nil || folder == "" {
		t.Fatalf("the upload is nowhere (%v)", err)
	}
	if err := os.Chtimes(folder, twoDaysAgo, twoDaysAgo); err != nil {
		t.Fatal(err)
	}
	s.succeeds(t, &pruned, "prune")
	if pruned.Uploads != 1 {
		t.Errorf("%d uploads were aborted, want 1", pruned.Uploads)
	}
}

// What a run came to is told to the recipients in the settings.
func TestReports(t *testing.T) {
	said := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Error(err)
		}
		said <- r.URL.Path + " " + body.String()
	}))
	defer server.Close()
	s := newSite(t)
	s.env["METRICS_FILE"] = filepath.Join(t.TempDir(), "backup.prom")
	s.env["PUSHGATEWAY_URL"] = server.URL
	s.env["WEBHOOK_URL"] = server.URL + "/secret-hook"
	metrics := func() string {
		t.Helper()
		data, err := os.ReadFile(s.env["METRICS_FILE"])
		if err != nil {
			t.Fatal(err)
		}
		// The file keeps what this run does not know, as the Pushgateway does.
		pushed, ours := strings.CutPrefix(<-said, "/metrics/job/backup/database/"+s.name+" ")
		if !ours || !strings.HasPrefix(string(data), pushed) {
			t.Errorf("pushed %s", pushed)
		}
		return string(data)
	}
	s.succeeds(t, nil, "run")
	got := metrics()
	for _, want := range []string{"\nbackup_last_run_success 1\n", "\nbackup_last_success_timestamp_seconds 1", "\nbackup_last_verified_timestamp_seconds 1", "\nbackup_rows 0\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in the metrics:\n%s", want, got)
		}
	}
	s.fails(t, map[string]string{"PG_BIN": wrap(t, "echo no >&2; exit 1")}, "pg_dump: exit status 1: no", "run")
	if got := metrics(); !strings.Contains(got, "backup_last_run_success 0\n") || !strings.Contains(got, "\nbackup_last_success_timestamp_seconds 1") {
		t.Errorf("after a failure the metrics are:\n%s", got)
	}
	if got := <-said; !strings.HasPrefix(got, `/secret-hook {"text":"Backup of `+s.name+` failed: `) || !strings.Contains(got, "exit status 1") {
		t.Errorf("the webhook is told %s", got)
	}
	server.Close()
	o := s.backup(t, "", map[string]string{"PG_BIN": wrap(t, "exit 1")}, "run")
	if !strings.Contains(o.stderr, "the report did not arrive") || strings.Contains(o.stderr, "secret-hook") {
		t.Errorf("what cannot be told is logged as:\n%s", o.stderr)
	}
}

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
