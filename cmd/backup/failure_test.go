package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"berth/internal/backup"
)

// Each case makes one good backup, breaks something, and wants the command to
// fail and to say why. In the end the good backup must still restore, and
// nothing else may count.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		test func(t *testing.T, s *site, good backup.Manifest)
	}{
		{"bucket down at the start", func(t *testing.T, s *site, _ backup.Manifest) {
			s.fails(t, map[string]string{"BUCKET_ENDPOINT": "http://127.0.0.1:1"}, "the bucket cannot be reached", "run")
		}},
		{"bucket dying mid-upload", func(t *testing.T, s *site, _ backup.Manifest) {
			s.exec(t, incompressible)
			proxy := newMortalProxy(t, 3<<20)
			s.fails(t, map[string]string{"BUCKET_ENDPOINT": "http://" + proxy.address}, "upload part", "run")
			if !proxy.dead.Load() {
				t.Error("the bucket did not die")
			}
		}},
		{"bucket's key refused", func(t *testing.T, s *site, _ backup.Manifest) {
			s.fails(t, map[string]string{"BUCKET_SECRET_KEY": "wrong-secret-key"}, "the bucket refuses the key", "run")
		}},
		{"no such database", func(t *testing.T, s *site, _ backup.Manifest) {
			s.fails(t, map[string]string{"DATABASE_URL": postgres.URL("nosuchdb")}, `database "nosuchdb" does not exist`, "run")
		}},
		{"pg_dump killed mid-way", func(t *testing.T, s *site, _ backup.Manifest) {
			s.exec(t, incompressible)
			bin := wrap(t, `"$real/pg_dump" "$@" | head -c 3000000; kill -KILL $$`)
			s.fails(t, map[string]string{"PG_BIN": bin}, "pg_dump: signal: killed", "run")
		}},
		{"pg_dump cut off with status 0", func(t *testing.T, s *site, _ backup.Manifest) {
			bin := wrap(t, `"$real/pg_dump" "$@" | head -n 60`)
			s.fails(t, map[string]string{"PG_BIN": bin}, "cut off", "run")
			bin = wrap(t, `exit 0`)
			s.fails(t, map[string]string{"PG_BIN": bin}, "cut off", "run")
		}},
		{"pg_dump leaving out a table", func(t *testing.T, s *site, _ backup.Manifest) {
			bin := wrap(t, `exec "$real/pg_dump" --exclude-table=article "$@"`)
			s.fails(t, map[string]string{"PG_BIN": bin}, "pg_dump left out table public.article", "run")
		}},
		{"server newer than the client", func(t *testing.T, s *site, _ backup.Manifest) {
			bin := t.TempDir()
			write(t, filepath.Join(bin, "pg_dump"), "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n", 0o755)
			s.fails(t, map[string]string{"PG_BIN": bin}, "it cannot dump a newer server", "run")
		}},
		{"disk-full scratch", func(t *testing.T, s *site, good backup.Manifest) {
			// The server's user has to get there, which t.TempDir keeps out.
			scratch, err := os.MkdirTemp("/tmp", "scratch-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.Remove(scratch)
			if err := syscall.Mount("tmpfs", scratch, "tmpfs", 0, "size=48m,mode=0755"); err != nil {
				t.Fatalf("mount a small disk (the test needs root): %v", err)
			}
			defer syscall.Unmount(scratch, syscall.MNT_DETACH)
			s.exec(t, incompressible)
			s.fails(t, map[string]string{"BACKUP_SCRATCH": scratch}, "the scratch folder's disk is full", "run")
			// The dump itself is good, and says that nobody has restored it.
			if entries := s.list(t); len(entries) != 2 || entries[0].State() != "unverified" {
				t.Errorf("the list is %+v", entries)
			}
			if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
				t.Errorf("scratch is left: %v, %v", left, err)
			}
			s.remove(t, s.list(t)[0].ID)
		}},
		{"truncated object", func(t *testing.T, s *site, _ backup.Manifest) {
			var bad backup.Manifest
			s.succeeds(t, &bad, "run", "--verify=false")
			change(t, s.path(bad.Dump.Name), func(data []byte) []byte { return data[:len(data)-100] })
			s.damaged(t, bad.ID)
		}},
		{"bit-flipped object", func(t *testing.T, s *site, _ backup.Manifest) {
			var bad backup.Manifest
			s.succeeds(t, &bad, "run", "--verify=false")
			change(t, s.path(bad.Dump.Name), func(data []byte) []byte { data[len(data)/2] ^= 1; return data })
			s.damaged(t, bad.ID)
		}},
		{"missing object", func(t *testing.T, s *site, _ backup.Manifest) {
			var bad backup.Manifest
			s.succeeds(t, &bad, "run", "--verify=false")
			if err := os.Remove(s.path(bad.Dump.Name)); err != nil {
				t.Fatal(err)
			}
			s.damaged(t, bad.ID)
		}},
		{"wrong key", func(t *testing.T, s *site, _ backup.Manifest) {
			right, wrong := identity(t), identity(t)
			encrypt := map[string]string{"BACKUP_AGE_RECIPIENTS": right.Recipient().String(), "BACKUP_AGE_IDENTITY_FILE": keyFile(t, right)}
			if o := s.backup(t, "", encrypt, "run"); o.status != 0 {
				t.Fatalf("status %d:\n%s", o.status, o.stderr)
			}
			encrypted := s.list(t)[0]
			if encrypted.State() != "verified" || encrypted.Recipients[0] != right.Recipient().String() {
				t.Errorf("the encrypted backup is %+v", encrypted)
			}
			s.fails(t, nil, "it is encrypted and there is no key", "verify", encrypted.ID)
			for _, command := range [][]string{{"verify"}, {"get"}, {"restore", "--yes", "--no-safety-backup"}} {
				s.fails(t, map[string]string{"BACKUP_AGE_IDENTITY_FILE": keyFile(t, wrong)}, "the key does not match", append(command, encrypted.ID)...)
			}
			// Not having the key says nothing against the backup.
			if entries := s.list(t); entries[0].State() != "verified" {
				t.Errorf("it is %s now", entries[0].State())
			}
			s.remove(t, encrypted.ID)
		}},
		{"two runs at once", func(t *testing.T, s *site, _ backup.Manifest) {
			gate := filepath.Join(t.TempDir(), "gate")
			if err := syscall.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			// The first run's pg_dump waits at the gate with the lock held.
			bin := wrap(t, `case "$1" in --version) ;; *) cat '`+gate+`' ;; esac; exec "$real/pg_dump" "$@"`)
			var first outcome
			var running sync.WaitGroup
			for name, value := range s.env {
				t.Setenv(name, value)
			}
			t.Setenv("PG_BIN", bin)
			running.Go(func() {
				var stdout, stderr strings.Builder
				first.status = run(t.Context(), []string{"run", "--verify=false"}, nil, &stdout, &stderr)
				first.stderr = stderr.String()
			})
			open, err := os.OpenFile(gate, os.O_WRONLY, 0) // returns when pg_dump is there
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr strings.Builder
			if status := run(t.Context(), []string{"run"}, nil, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), "another backup or restore of this database is running") {
				t.Errorf("the second run: status %d:\n%s", status, stderr.String())
			}
			if err := open.Close(); err != nil {
				t.Fatal(err)
			}
			running.Wait()
			if first.status != 0 {
				t.Errorf("the first run: status %d:\n%s", first.status, first.stderr)
			}
			s.remove(t, s.list(t)[0].ID)
		}},
		{"restore that fails", func(t *testing.T, s *site, good backup.Manifest) {
			bin := wrap(t, `exec "$real/pg_dump" "$@"`)
			write(t, filepath.Join(bin, "psql"), "#!/bin/sh\nhead -c 1000 >/dev/null\nexit 3\n", 0o755)
			s.fails(t, map[string]string{"PG_BIN": bin}, "the database serves as before", "restore", "--yes", "--no-safety-backup", good.ID)
			if got := query[int](t, s.env["DATABASE_URL"], "SELECT count(*) FROM article"); got != 2000 {
				t.Errorf("the database has %d articles", got)
			}
			if got := query[int](t, postgres.URL("postgres"), "SELECT count(*) FROM pg_database WHERE datname LIKE '"+s.name+"\\_%'"); got != 0 {
				t.Errorf("%d other databases are left", got)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			s.exec(t, everything)
			var good backup.Manifest
			s.succeeds(t, &good, "run", "--verify=false")
			test.test(t, s, good)
			t.Setenv("PG_BIN", "")
			s.succeeds(t, nil, "verify", good.ID)
			for _, entry := range s.list(t) {
				if entry.ID != good.ID && !entry.Damaged() {
					t.Errorf("backup %s counts", entry.ID)
				}
			}
			for _, name := range s.objects(t) {
				counts := strings.Contains(name, good.ID)
				for _, entry := range s.list(t) {
					counts = counts || strings.Contains(name, entry.ID)
				}
				if !counts {
					t.Errorf("%s is left in the bucket", name)
				}
			}
		})
	}
}

// incompressible makes a table of some 12 MB that zstd cannot shrink much:
// more than one part of an upload.
const incompressible = `CREATE TABLE noise AS SELECT (SELECT string_agg(sha512((n || ' ' || k)::bytea), '') FROM generate_series(1, 16) k) AS b FROM generate_series(1, 16000) n`

// damaged wants verify to find a backup damaged, get and restore to refuse it.
func (s *site) damaged(t *testing.T, id string) {
	t.Helper()
	const says = "the backup is damaged"
	s.fails(t, nil, says, "get", id)
	s.fails(t, nil, says, "restore", "--yes", "--no-safety-backup", id)
	s.fails(t, nil, says, "verify", id)
	if entries := s.list(t); entries[0].ID != id || entries[0].State() != "damaged" {
		t.Errorf("the list does not say so: %+v", entries[0])
	}
	s.fails(t, nil, says, "restore", "--yes", id)
}

// remove takes a backup out of the bucket.
func (s *site) remove(t *testing.T, id string) {
	t.Helper()
	names, err := filepath.Glob(s.path(id + ".*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("backup %s has no objects (%v)", id, err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// wrap makes a folder of PostgreSQL's programs in which pg_dump is a script.
func wrap(t *testing.T, script string) string {
	t.Helper()
	bin := t.TempDir()
	for _, program := range []string{"psql", "pg_dumpall", "pg_restore", "initdb", "postgres"} {
		if err := os.Symlink(filepath.Join(postgres.Bin, program), filepath.Join(bin, program)); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf("#!/bin/sh\nreal='%s'\nif [ \"$1\" = --version ]; then exec \"$real/pg_dump\" --version; fi\n%s\n", postgres.Bin, script)
	write(t, filepath.Join(bin, "pg_dump"), text, 0o755)
	return bin
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	// A program whose file replaces a link of that name, not the linked one.
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, file string, how func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, how(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func keyFile(t *testing.T, id *age.X25519Identity) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	write(t, file, id.String()+"\n", 0o600)
	return file
}

// mortalProxy passes on what comes for the S3 server until so many bytes have
// passed; then it ends every connection and takes no more.
type mortalProxy struct {
	address string
	dead    atomic.Bool
}

func newMortalProxy(t *testing.T, bytes int64) *mortalProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &mortalProxy{address: listener.Addr().String()}
	t.Cleanup(func() { listener.Close() })
	var left atomic.Int64
	left.Store(bytes)
	pass := func(to, from net.Conn) {
		defer to.Close()
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if left.Add(-int64(n)) < 0 {
				p.dead.Store(true)
				listener.Close()
				from.Close()
				return
			}
			if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.DialTimeout("tcp", s3.Address, 5*time.Second)
			if err != nil {
				client.Close()
				return
			}
			go pass(server, client)
			go pass(client, server)
		}
	}()
	return p
}

// A backup whose dump was removed, by a lifecycle rule say, counts no more: an older one
// is restored, and stays.
func TestDumpThatIsGone(t *testing.T) {
	s := newSite(t)
	s.exec(t, "CREATE TABLE t AS SELECT 1 AS i")
	var older, newer backup.Manifest
	s.succeeds(t, &older, "run")
	s.succeeds(t, &newer, "run")
	if err := os.Remove(s.path(newer.Dump.Name)); err != nil {
		t.Fatal(err)
	}
	if entries := s.list(t); entries[0].State() != "damaged" || !strings.Contains(entries[0].Problem, "is not in the bucket any more") || entries[1].State() != "verified" {
		t.Errorf("the list is %+v", entries)
	}
	var restored backup.Restored
	s.succeeds(t, &restored, "restore", "--yes", "--no-safety-backup")
	if restored.ID != older.ID {
		t.Errorf("restored is %s, want %s", restored.ID, older.ID)
	}
	s.env["BACKUP_KEEP_LAST"], s.env["BACKUP_KEEP_DAILY"], s.env["BACKUP_KEEP_WEEKLY"], s.env["BACKUP_KEEP_MONTHLY"] = "1", "0", "0", "0"
	s.succeeds(t, nil, "prune")
	if entries := s.list(t); len(entries) == 0 || entries[len(entries)-1].ID != older.ID {
		t.Errorf("after pruning there are %+v", entries)
	}
}
