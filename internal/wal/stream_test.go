package wal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/bucket"
	"berth/internal/s3test"
)

// streamInProcess names what a stream in a process of its own is told, which can be
// killed.
const streamInProcess = "WAL_TEST_STREAM"

type alone struct{ Database, Endpoint, Bucket, Folder string }

func streamAlone(settings string) {
	var a alone
	err := json.Unmarshal([]byte(settings), &a)
	job := &backup.Job{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Now: time.Now}
	if err == nil {
		job.Database, err = backup.ParseDatabase(a.Database)
	}
	if err == nil {
		job.Bucket, err = bucket.New(bucket.Options{
			Endpoint: a.Endpoint, Region: "us-east-1", Name: a.Bucket, AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey, Prefix: "backups/",
		})
	}
	if err == nil {
		err = (&Stream{Archive: &Archive{Job: job}, Folder: a.Folder, Slot: "berth", Keep: 256 << 20, Tick: 200 * time.Millisecond}).Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// writer writes articles one after the other, and notes when each was acknowledged.
type writer struct {
	mu    sync.Mutex
	acked map[int]time.Time
	stop  chan struct{}
	done  sync.WaitGroup
}

func (s *site) writer(first int) *writer {
	w := &writer{acked: map[int]time.Time{}, stop: make(chan struct{})}
	c, err := pgx.Connect(context.Background(), s.server.URL("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	w.done.Go(func() {
		defer c.Close(context.Background())
		for i := first; ; i++ {
			select {
			case <-w.stop:
				return
			default:
			}
			if _, err := c.Exec(context.Background(), "INSERT INTO articles VALUES ($1, repeat('written ', 50))", i); err != nil {
				return // the server is gone
			}
			w.mu.Lock()
			w.acked[i] = time.Now()
			w.mu.Unlock()
		}
	})
	return w
}

func (w *writer) end() {
	close(w.stop)
	w.done.Wait()
}

// Killed at any moment the stream goes on where it was; when the server goes, too, what
// was acknowledged five seconds before is in the bucket.
func TestKilledStream(t *testing.T) {
	s := newSite(t)
	s.exec("CREATE ROLE wal LOGIN REPLICATION")
	settings, err := json.Marshal(alone{s.server.URL("postgres"), s.endpoint, s.bucket, s.folder})
	if err != nil {
		t.Fatal(err)
	}
	start := func() *exec.Cmd {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), streamInProcess+"="+string(settings))
		command.Stderr = t.Output()
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return command
	}
	w := s.writer(1)
	for round := range 4 {
		stream := start()
		time.Sleep(time.Duration(300+700*round) * time.Millisecond)
		stream.Process.Kill() //nolint:errcheck // it has not ended by itself
		stream.Wait()         //nolint:errcheck // killed
	}
	stream := start()
	defer func() { stream.Process.Kill(); stream.Wait() }() //nolint:errcheck // of a test
	s.await(s.now())
	s.exec("SELECT pg_switch_wal()")
	s.await(s.now())
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	w.end()
	var last time.Time
	for _, at := range w.acked {
		if at.After(last) {
			last = at
		}
	}
	wanted := 0
	for _, at := range w.acked {
		if last.Sub(at) > 5*time.Second {
			wanted++
		}
	}
	got := s.rows(time.Time{})
	t.Logf("of %d acknowledged writes %d are there, %d had to be", len(w.acked), got, wanted)
	if got < wanted || got > len(w.acked)+1 {
		t.Errorf("there are %d articles, of %d acknowledged, of which %d are old enough", got, len(w.acked), wanted)
	}
}

// away is a way to the bucket that can be closed.
func (s *site) away() *atomic.Bool {
	target, err := url.Parse(s.endpoint)
	if err != nil {
		s.t.Fatal(err)
	}
	closed := &atomic.Bool{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if closed.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	s.t.Cleanup(server.Close)
	s.endpoint = server.URL
	return closed
}

// A bucket that is away for a while costs nothing.
func TestBucketAway(t *testing.T) {
	s := newSite(t)
	away := s.away()
	s.stream()
	s.await(s.now())
	away.Store(true)
	s.write(1, 1000)
	s.exec("SELECT pg_switch_wal()")
	s.write(1001, 2000)
	within := s.now()
	time.Sleep(time.Second)
	away.Store(false)
	s.await(s.now())
	if got := s.rows(within); got != 2000 {
		t.Errorf("there are %d articles", got)
	}
}

// The stream completes a segment while its pieces are being fetched: what is in their
// place counts, and nothing is called damaged.
func TestPiecesMoveWhileTheyAreFetched(t *testing.T) {
	s := newSite(t)
	s.stream()
	s.await(s.now()) // with a base
	s.write(1, 100)
	s.await(s.now())
	a := s.archive("wal")
	chains, err := a.Chains(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := chains[0]
	pieces := c.pieces[c.last()]
	if len(pieces) == 0 {
		t.Fatalf("there are no pieces: %+v", c)
	}
	s.exec("SELECT pg_switch_wal()")
	s.write(101, 200)
	s.await(s.now())
	if _, err := os.Stat(s.path(pieces[0].name)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the first piece is still there: %v", err)
	}
	r, err := a.Replay(t.Context(), c, &c.Bases[0], time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	// What is missing and has not moved is damage.
	if err := os.Remove(s.path(root + c.Name + "/" + c.last() + ".zst")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Replay(t.Context(), c, &c.Bases[0], time.Time{}); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("without a segment it ends with %v", err)
	}
}

// Away for too long, the server throws the log away rather than stop. Then there is a
// gap, and a new base after it.
func TestGap(t *testing.T) {
	s := newSite(t, "max_slot_wal_keep_size=32MB", "wal_keep_size=0", "max_wal_size=64MB", "min_wal_size=32MB")
	away := s.away()
	s.stream(func(stream *Stream) { stream.Keep = 40 << 20 })
	s.write(1, 10)
	before := s.await(s.now())
	away.Store(true)
	for range 12 {
		s.write(1000, 1001)
		s.exec("DELETE FROM articles WHERE id >= 1000; SELECT pg_switch_wal(); CHECKPOINT")
		time.Sleep(100 * time.Millisecond)
	}
	s.write(11, 20)
	lost := s.now()
	away.Store(false)
	s.await(s.now())
	s.write(21, 30)
	after := s.now()
	s.await(after)
	windows, err := s.archive("wal").Windows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(windows) != 2 || !windows[0].From.After(lost) || !windows[0].Live || windows[1].Live || windows[1].To.After(windows[0].From) || !windows[1].From.Equal(before.From) {
		t.Fatalf("there is no gap: %+v, before %+v, lost %s", windows, before, lost)
	}
	if m, err := s.archive("berth").Moment(t.Context(), lost); !errors.Is(err, ErrNoWindow) {
		t.Errorf("a moment in the gap can be reached: %+v, %v", m, err)
	}
	if got := s.rows(after); got != 30 {
		t.Errorf("after the gap there are %d articles", got)
	}
}

// A new server begins another chain. The latest moment is still the old one's, until
// the new one's log has been replayed.
func TestAnotherServer(t *testing.T) {
	s := newSite(t)
	stop := s.stream()
	s.write(1, 50)
	s.await(s.now())
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	stop()
	s.start()
	s.stream()
	s.write(1, 3)
	s.await(s.now())
	if windows, err := s.archive("wal").Windows(t.Context()); err != nil || len(windows) != 2 || windows[0].Chain == windows[1].Chain {
		t.Fatalf("got %+v, %v", windows, err)
	}
	if got := s.rows(time.Time{}); got != 50 {
		t.Errorf("the latest moment has %d articles, want the old server's 50", got)
	}
	v, err := s.archive("wal").Verify(t.Context())
	if err != nil || !v.OK || v.Reached.IsZero() {
		t.Fatalf("got %+v, %v", v, err)
	}
	if got := s.rows(time.Time{}); got != 3 {
		t.Errorf("then it has %d articles, want the new server's 3", got)
	}
}
