package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
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
