package wal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/fault"
	"berth/internal/postgrestest"
)

// volume is an empty folder that servers may use.
func volume(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "fill-")
	if err == nil {
		err = os.Chmod(folder, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

// fill fills a folder as the database's owner, whose password is "now".
func (s *site) fill(at time.Time, data string, change ...func(*Filling)) (*Filled, error) {
	s.t.Helper()
	a := s.archive(postgrestest.Role)
	a.Job.Database = a.Job.Database.As("app", "now")
	o := Filling{At: at, Data: data, Version: s.major()}
	for _, c := range change {
		c(&o)
	}
	return a.Fill(s.t.Context(), o)
}

func (s *site) mustFill(at time.Time, data string, change ...func(*Filling)) *Filled {
	s.t.Helper()
	f, err := s.fill(at, data, change...)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *site) major() (major int) {
	s.t.Helper()
	return majorOf(s.ask("SHOW server_version"))
}

// ask returns what a query returns.
func (s *site) ask(sql string) (answer string) {
	s.t.Helper()
	c, err := pgx.Connect(context.Background(), s.server.URL("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close(context.Background())
	if err := c.QueryRow(context.Background(), sql).Scan(&answer); err != nil {
		s.t.Fatalf("%v in %s", err, sql)
	}
	return answer
}

// moveTo lets a server on filled data take the place of the one that runs. Only its
// superuser enters it without a password.
func (s *site) moveTo(data string) {
	s.t.Helper()
	hba := filepath.Join(filepath.Dir(data), "pg_hba.conf")
	err := os.WriteFile(hba, []byte("host all,replication "+postgrestest.Role+",wal 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"), 0o644)
	if err == nil {
		err = s.server.Stop()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	server, err := postgrestest.StartOn(data, "fsync=off", "hba_file="+hba)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = server
	s.t.Cleanup(func() { server.Stop() })
}

// enters reports whether a role enters the server with a password.
func (s *site) enters(role, password string) bool {
	s.t.Helper()
	c, err := pgx.Connect(context.Background(), strings.Replace(s.server.URL("postgres"), postgrestest.Role+"@", role+":"+password+"@", 1))
	if err != nil {
		return false
	}
	return c.Close(context.Background()) == nil
}

// A server that is filled holds what was there at the moment, lets in who may enter the
// present one, and its own log goes on. None of several takes another's timeline.
func TestFill(t *testing.T) {
	s := newSite(t, "max_prepared_transactions=2")
	s.exec("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'then'; CREATE ROLE clerk LOGIN PASSWORD 'then'")
	s.exec("ALTER SYSTEM SET work_mem = '7MB'")
	s.exec("CREATE DATABASE postgres_before_20260101_000000_0000") // of an earlier restore
	stop := s.stream()
	first := s.await(s.now())
	s.write(1, 200)
	s.exec("BEGIN; INSERT INTO articles VALUES (1000, 'half'); PREPARE TRANSACTION 'it''s half'")
	at := s.now()
	s.exec("DELETE FROM articles")
	s.exec("ROLLBACK PREPARED 'it''s half'")
	s.exec("ALTER ROLE clerk PASSWORD 'now'; CREATE ROLE late LOGIN PASSWORD 'now'")
	s.await(s.now())
	base, err := s.archive("wal").BaseOf(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if bytes, several := base.Holds(); bytes < 1<<20 || len(several) > 0 || base.Version() != s.major() {
		t.Errorf("the base of %d holds %d bytes, %q", base.Version(), bytes, several)
	}

	data := filepath.Join(volume(t), "pgdata")
	granted := false
	filled := s.mustFill(at, data, func(o *Filling) {
		o.Grant = func(ctx context.Context, d *backup.Database) error {
			granted = true
			return d.Grant(ctx, "reader", "now")
		}
	})
	if !granted || !filled.Moment.Equal(at) || filled.Bytes == 0 || filled.Chain != base.system()+"-2" || len(filled.Warnings) != 1 || !strings.Contains(filled.Warnings[0], "it's half") {
		t.Errorf("filled with %+v", filled)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(data), "*")); err != nil || len(left) != 1 {
		t.Errorf("beside the data are %q: %v", left, err)
	}
	for _, name := range []string{"recovery.signal", "backup_label", "backup_manifest", "postmaster.pid"} {
		if _, err := os.Stat(filepath.Join(data, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the data have %s: %v", name, err)
		}
	}
	if _, err := s.fill(at, data); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("over data: %v", err)
	}

	// It serves in place of the other, and is streamed.
	stop()
	s.moveTo(data)
	for sql, want := range map[string]string{
		"SELECT count(*) || ' ' || max(id) FROM articles": "200 200",
		"SHOW work_mem": "7MB", "SHOW fsync": "off",
		"SELECT pg_is_in_recovery()::text":                "false",
		"SELECT count(*)::text FROM pg_prepared_xacts":    "0",
		"SELECT count(*)::text FROM pg_replication_slots": "0",
	} {
		if got := s.ask(sql); got != want {
			t.Errorf("%s is %q, want %q", sql, got, want)
		}
	}
	for _, role := range []string{"app", "clerk", "late", "reader"} {
		if !s.enters(role, "now") || s.enters(role, "then") {
			t.Errorf("%s does not enter with the present password, or with that of then", role)
		}
	}
	stop = s.stream()
	s.write(5000, 5009)
	w := s.await(s.now())
	if w.Chain != filled.Chain || w.Chain == first.Chain {
		t.Errorf("the window is %+v", w)
	}
	next := s.now()
	s.exec("DELETE FROM articles")
	s.await(s.now())
	if got := s.rows(next); got != 210 {
		t.Errorf("the new server had %d articles, want 210", got)
	}
	if got := s.rows(at); got != 200 {
		t.Errorf("the old server had %d articles, want 200", got)
	}
	if _, err := s.archive("wal").Verify(t.Context()); err != nil {
		t.Error(err)
	}

	// From either chain, a further one takes a timeline of its own.
	for i, at := range []time.Time{at, next, {}} {
		filled := s.mustFill(at, filepath.Join(volume(t), "pgdata"))
		if want := fmt.Sprintf("%s-%d", base.system(), 3+i); filled.Chain != want {
			t.Errorf("from %s it is chain %s, want %s", at, filled.Chain, want)
		}
	}
	stop()
}

// The server is lost for good: what comes in its place is filled to the last moment, with
// the roles that the empty one has.
func TestFillAfterALoss(t *testing.T) {
	s := newSite(t)
	s.exec("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'then'")
	stop := s.stream()
	s.write(1, 100)
	s.await(s.now())
	stop()
	major := s.major()
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(volume(t), "pgdata")
	filled := s.mustFillOf(major, data)
	if len(filled.Warnings) != 1 || !strings.Contains(filled.Warnings[0], "does not answer") {
		t.Errorf("the warnings are %q", filled.Warnings)
	}
	s.start()
	s.moveTo(data)
	if got := s.ask("SELECT count(*)::text FROM articles"); got != "100" || !s.enters("app", "now") {
		t.Errorf("there are %s articles", got)
	}
}

func (s *site) mustFillOf(major int, data string) *Filled {
	s.t.Helper()
	a := s.archive(postgrestest.Role)
	a.Job.Database = a.Job.Database.As("app", "now")
	f, err := a.Fill(s.t.Context(), Filling{Data: data, Version: major})
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// What cannot be filled says why, and leaves nothing.
func TestFillThatFails(t *testing.T) {
	s := newSite(t)
	s.exec("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'then'")
	s.stream()
	s.write(1, 100)
	s.await(s.now())
	at := s.now()
	s.write(101, 200)
	s.await(s.now())
	folder := volume(t)
	fails := func(what, want, hint string, fill func() error) {
		t.Helper()
		err := fill()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(fault.Hint(err), hint) {
			t.Errorf("%s: %v (%s); want %q (%s)", what, err, fault.Hint(err), want, hint)
		}
		if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
			t.Errorf("%s leaves %q: %v", what, left, err)
		}
	}
	data := filepath.Join(folder, "pgdata")
	plain := func(at time.Time, change ...func(*Filling)) func() error {
		return func() error {
			_, err := s.fill(at, data, change...)
			return err
		}
	}
	fails("another version", "whose files PostgreSQL 99 cannot read", "dump and load", func() error {
		_, err := s.fill(at, data, func(o *Filling) { o.Version = 99 })
		return err
	})
	fails("a moment before all", ErrNoWindow.Error(), "what can be reached", plain(at.Add(-time.Hour)))
	fails("a moment to come", ErrNoWindow.Error(), "what can be reached", plain(time.Now().Add(time.Hour)))
	fails("no room", "free, and the server's files take", "make room", func() error {
		a := s.archive("wal")
		b, err := a.BaseOf(t.Context(), at)
		if err != nil {
			return err
		}
		b.Object.PlainBytes = 1 << 50
		return room(folder, b)
	})
	s.exec("CREATE DATABASE reports")
	fails("another database", "also has the database reports, which would go back too", "dump and load", plain(at))
	// It was there then, and is not now.
	then := s.now()
	s.exec("DROP DATABASE reports")
	s.await(s.now())
	fails("another database then", "also has the database reports", "dump and load", plain(then))

	// A tablespace that came after the base has no place.
	outside := volume(t)
	own(t, outside)
	s.exec("CREATE TABLESPACE aside LOCATION '" + outside + "'")
	s.exec("CREATE TABLE elsewhere (n int) TABLESPACE aside")
	later := s.now()
	s.await(later)
	if err := os.RemoveAll(outside); err != nil {
		t.Fatal(err)
	}
	fails("a tablespace", "a tablespace was made after base", "continuous to false", plain(later))

	// The bucket goes away when the base is there.
	endpoint, _ := url.Parse(s.endpoint)
	through := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(endpoint); r.Out.Host = r.In.Host }}
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && ownSegment.MatchString(path.Base(r.URL.Path)) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		through.ServeHTTP(w, r)
	}))
	defer away.Close()
	s.endpoint = away.URL
	fails("the bucket", "fetch segment", "", plain(at))
	s.endpoint = endpoint.String()

	// Ended in the midst of it, and run again.
	if err := os.MkdirAll(filepath.Join(data+".filling", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.mustFill(at, data)
	if _, err := os.Stat(data + ".filling"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was left is there still: %v", err)
	}
}

// own gives a folder to the servers' user.
func own(t *testing.T, folder string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if output, err := exec.Command("chown", "postgres", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}
