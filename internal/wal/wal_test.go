package wal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/bucket"
	"berth/internal/postgrestest"
	"berth/internal/s3test"
)

// The tests stream from real PostgreSQL servers of their own into a real S3 server.
var s3 *s3test.Server

func TestMain(m *testing.M) {
	if settings := os.Getenv(streamInProcess); settings != "" {
		streamAlone(settings)
	}
	os.Exit(suite(m))
}

func suite(m *testing.M) int {
	var err error
	if s3, err = s3test.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s3.Stop()
	return m.Run()
}

// site is a server and a bucket.
type site struct {
	t        *testing.T
	server   *postgrestest.Server
	bucket   string
	endpoint string
	folder   string // of the stream
	log      *slog.Logger
	// change changes the jobs.
	change func(*backup.Job)
}

func newSite(t *testing.T, settings ...string) *site {
	t.Helper()
	s := &site{t: t, bucket: s3.Bucket(t), endpoint: "http://" + s3.Address, folder: t.TempDir(), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	s.start(settings...)
	return s
}

// start starts a new, empty server.
func (s *site) start(settings ...string) {
	s.t.Helper()
	server, err := postgrestest.Start(append([]string{"fsync=off", "full_page_writes=off"}, settings...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = server
	s.t.Cleanup(func() { server.Stop() })
	s.exec("CREATE TABLE articles (id bigint PRIMARY KEY, body text)")
}

// archive is the log of the site's server, entered as a role.
func (s *site) archive(role string) *Archive {
	s.t.Helper()
	database, err := backup.ParseDatabase(strings.Replace(s.server.URL("postgres"), postgrestest.Role+"@", role+"@", 1))
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := bucket.New(bucket.Options{
		Endpoint: s.endpoint, Region: "us-east-1", Name: s.bucket, AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey,
		Prefix: "backups/", Tries: 2, Backoff: 10 * time.Millisecond,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	job := &backup.Job{Bucket: b, Database: database, Log: s.log, Now: time.Now, Hints: backup.Hints{List: "list", Run: "run"}}
	if s.change != nil {
		s.change(job)
	}
	return &Archive{Job: job}
}

// path is where the server keeps what lies in the bucket.
func (s *site) path(object string) string {
	return filepath.Join(s3.Folder, s.bucket, "backups", object)
}

// objects are the names of what fits a pattern below the chains.
func (s *site) objects(pattern string) []string {
	s.t.Helper()
	names, err := filepath.Glob(s.path(root + "*/" + pattern))
	if err != nil {
		s.t.Fatal(err)
	}
	return names
}

// stream streams until the function is called, or the test ends.
func (s *site) stream(change ...func(*Stream)) (stop func()) {
	s.t.Helper()
	s.exec("DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'wal') THEN CREATE ROLE wal LOGIN REPLICATION; END IF; END$$")
	stream := &Stream{Archive: s.archive("wal"), Folder: s.folder, Slot: "berth", Keep: 256 << 20, Tick: 200 * time.Millisecond}
	for _, c := range change {
		c(stream)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := stream.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	s.t.Cleanup(stop)
	return stop
}

func (s *site) exec(sql string) {
	s.t.Helper()
	c, err := pgx.Connect(context.Background(), s.server.URL("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(context.Background(), sql); err != nil {
		s.t.Fatalf("%v in %s", err, sql)
	}
}

// write writes articles.
func (s *site) write(from, to int) {
	s.t.Helper()
	s.exec(fmt.Sprintf("INSERT INTO articles SELECT n, md5(n::text) FROM generate_series(%d, %d) n", from, to))
}

// now is the server's time.
func (s *site) now() (at time.Time) {
	s.t.Helper()
	c, err := pgx.Connect(context.Background(), s.server.URL("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close(context.Background())
	if err := c.QueryRow(context.Background(), "SELECT clock_timestamp()").Scan(&at); err != nil {
		s.t.Fatal(err)
	}
	return at
}

// await waits until the stream has reached a moment, and its window. One that does
// not grow may end later than what is in it.
func (s *site) await(at time.Time) Window {
	s.t.Helper()
	a := s.archive("wal")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		windows, err := a.Windows(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if len(windows) > 0 && windows[0].Live && !windows[0].To.Before(at) {
			return windows[0]
		}
		if time.Now().After(deadline) {
			state, err := a.State(s.t.Context())
			s.t.Fatalf("the stream does not reach %s; windows %+v, state %+v, %v", at, windows, state, err)
		}
	}
}

// rows is what a backup of a moment holds.
func (s *site) rows(at time.Time) int {
	s.t.Helper()
	a := s.archive(postgrestest.Role)
	m, err := a.Moment(s.t.Context(), at)
	if err != nil {
		s.t.Fatal(err)
	}
	if !at.IsZero() && !m.Moment.Equal(at) {
		s.t.Errorf("the backup is of %s, want %s", m.Moment, at)
	}
	if err := a.Job.Get(s.t.Context(), m.ID, io.Discard); err != nil {
		s.t.Error(err)
	}
	return int(m.Tables["public.articles"].Rows)
}

// To a moment between two others, and, when the server is gone for good, to the last
// one.
func TestBackToAMoment(t *testing.T) {
	s := newSite(t)
	s.write(1, 100)
	s.stream()
	w := s.await(s.now())
	if !w.Live || !w.From.Before(w.To) {
		t.Errorf("the window is %+v", w)
	}
	s.write(101, 200)
	before := s.now()
	s.exec("DELETE FROM articles")
	s.write(1000, 1010)
	after := s.now()
	s.await(after)
	if got := s.rows(before); got != 200 {
		t.Errorf("before the DELETE there are %d articles, want 200", got)
	}
	if got := s.rows(after); got != 11 {
		t.Errorf("after it there are %d articles, want 11", got)
	}

	// The server goes, and an empty one comes in its place.
	s.write(2000, 2099)
	s.await(s.now())
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := s.rows(time.Time{}); got != 111 {
		t.Errorf("at last there are %d articles, want 111", got)
	}
}
