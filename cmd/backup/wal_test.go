package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/internal/backup"
	"berth/internal/postgrestest"
	"berth/internal/wal"
)

// From the roles to a moment and back to nothing, by the commands.
func TestMoments(t *testing.T) {
	// A base holds all of a server: the others' databases would make it slow.
	server, err := postgrestest.Start("fsync=off", "synchronous_commit=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := siteOn(t, server)
	s.exec(t, "CREATE TABLE t AS SELECT 1 AS i")
	roles := map[string]string{"BACKUP_ROLE_PASSWORD": "geheim", "WAL_USER": "wal_" + s.name, "WAL_PASSWORD": "geheimer", "WAL_SLOT": "slot_" + s.name}
	if o := s.backup(t, "", roles, "grant", "--role=backup_"+s.name); o.status != 0 {
		t.Fatalf("grant: %s", o.stderr)
	}
	may := "SELECT rolreplication AND NOT rolsuper AND NOT rolbypassrls AND NOT rolcreaterole AND NOT rolcreatedb FROM pg_roles WHERE rolname = '" + roles["WAL_USER"] + "'"
	if !query[bool](t, s.env["DATABASE_URL"], may) {
		t.Error("the role of the stream may do more than replicate")
	}

	stop := s.stream(t, roles)
	continuous := map[string]string{"BACKUP_CONTINUOUS": "true", "WAL_USER": roles["WAL_USER"], "WAL_PASSWORD": roles["WAL_PASSWORD"]}
	if o := s.backup(t, "", continuous, "run"); o.status != 0 {
		t.Fatalf("run: %s", o.stderr)
	}
	var windows []wal.Window
	s.succeeds(t, &windows, "windows", "--json")
	if len(windows) != 1 || windows[0].Verified.IsZero() {
		t.Fatalf("the windows are %+v", windows)
	}
	s.exec(t, "DELETE FROM t")
	var made backup.Manifest
	s.succeeds(t, &made, "moment", "--at="+windows[0].Verified.Format(time.RFC3339Nano))
	if made.Rows() != 1 || !made.Moment.Equal(windows[0].Verified) || made.Database.Name != s.name {
		t.Errorf("the moment is %+v", made)
	}
	s.fails(t, nil, "this moment cannot be reached", "moment", "--at=1h")
	if o := s.backup(t, "", nil, "moment", "--at=yesterday"); o.status != 2 {
		t.Errorf("status %d: %s", o.status, o.stderr)
	}

	// Or the data of a server.
	volume, err := os.MkdirTemp("/tmp", "fill-")
	if err == nil {
		err = os.Chmod(volume, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(volume) })
	data := filepath.Join(volume, "pgdata")
	version := "--version=" + query[string](t, s.env["DATABASE_URL"], "SELECT (current_setting('server_version_num')::int / 10000)::text")
	o := s.backup(t, "", map[string]string{"BACKUP_ROLE": "backup_" + s.name, "BACKUP_ROLE_PASSWORD": "neu"}, "fill",
		"--at="+windows[0].Verified.Format(time.RFC3339Nano), "--data="+data, version)
	var filled wal.Filled
	if err := json.Unmarshal([]byte(o.stdout), &filled); o.status != 0 || err != nil || !filled.Moment.Equal(windows[0].Verified) || filled.Chain == windows[0].Chain {
		t.Errorf("filled with %+v, %v: status %d: %s", filled, err, o.status, o.stderr)
	}
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		t.Error(err)
	}
	s.fails(t, nil, "this moment cannot be reached", "fill", "--at=1h", "--data="+data+"2", version)
	for _, arguments := range [][]string{{"fill"}, {"fill", version}, {"fill", "--data=" + data}, {"fill", "--at=yesterday", "--data=" + data + "2", version}} {
		if o := s.backup(t, "", nil, arguments...); o.status != 2 {
			t.Errorf("%q: status %d: %s", arguments, o.status, o.stderr)
		}
	}

	// The backup is taken by its ID, and by nothing else.
	var restored backup.Restored
	s.succeeds(t, &restored, "restore", "--yes", "--no-safety-backup")
	if restored.ID == made.ID {
		t.Error("without an ID the moment was taken")
	}
	s.exec(t, "DELETE FROM t")
	if o := s.backup(t, "", continuous, "restore", "--yes", "--no-safety-backup", made.ID); o.status != 0 {
		t.Fatalf("restore: %s", o.stderr)
	}
	if _, err := os.Stat(s.path("wal/" + windows[0].Chain + "/restored.json")); err != nil {
		t.Errorf("the server's log does not say what was restored: %v", err)
	}
	if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM t"); got != 1 {
		t.Errorf("there are %d rows", got)
	}

	// Without a stream nothing keeps the log on the server.
	stop()
	o = s.backup(t, "", map[string]string{"BACKUP_ROLE_PASSWORD": "geheim", "WAL_SLOT": roles["WAL_SLOT"]}, "grant", "--role=backup_"+s.name)
	if left := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '"+roles["WAL_SLOT"]+"'"); o.status != 0 || left != 0 {
		t.Errorf("status %d, %d slots are left: %s", o.status, left, o.stderr)
	}
}

// stream runs the command until the function is called.
func (s *site) stream(t *testing.T, roles map[string]string) (stop func()) {
	t.Helper()
	for name, value := range s.env {
		t.Setenv(name, value)
	}
	t.Setenv("DATABASE_URL", strings.Replace(s.env["DATABASE_URL"], "berth@", roles["WAL_USER"]+"@", 1))
	t.Setenv("WAL_SLOT", roles["WAL_SLOT"])
	t.Setenv("WAL_FOLDER", filepath.Join(t.TempDir(), "log"))
	ctx, cancel := context.WithCancel(context.Background())
	said := &lines{}
	var running sync.WaitGroup
	running.Go(func() {
		if status := run(ctx, []string{"stream"}, nil, said, said); status != 0 {
			t.Errorf("stream: status %d: %s", status, said)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(said.String(), `"base made"`); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is no base: %s", said)
		}
	}
	return stop
}

// lines is a log that is read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
