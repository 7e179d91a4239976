package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"berth/internal/backup"
	"berth/internal/fault"
)

// Whatever is amiss with what lies in the bucket, a replay does not pass over it.
func TestDamagedLog(t *testing.T) {
	s := newSite(t)
	stop := s.stream()
	s.await(s.now())
	s.write(1, 100)
	s.exec("SELECT pg_switch_wal()")
	s.write(101, 200)
	s.exec("SELECT pg_switch_wal()")
	s.write(201, 300)
	s.await(s.now())
	stop()
	a := s.archive("berth")
	v, err := a.Verify(t.Context())
	if err != nil || !v.OK {
		t.Fatalf("got %+v, %v", v, err)
	}
	if windows, err := a.Windows(t.Context()); err != nil || len(windows) != 1 || !windows[0].Verified.Equal(v.Reached) {
		t.Errorf("got %+v, %v", windows, err)
	}

	segments := s.objects("????????????????????????.zst")
	if len(segments) < 2 {
		t.Fatalf("the segments are %v", segments)
	}
	for _, c := range []struct {
		what, object string
		break_       func([]byte) []byte
	}{
		{"a bit of a segment", segments[len(segments)-1], func(data []byte) []byte { data[len(data)/2] ^= 1; return data }},
		{"a segment that is cut", segments[len(segments)-1], func(data []byte) []byte { return data[:len(data)/2] }},
		{"a bit of the base", s.objects("base-*.tar.zst")[0], func(data []byte) []byte { data[len(data)/2] ^= 1; return data }},
		{"a piece without content", s.objects("*.00000000.zst")[0], func([]byte) []byte { return nil }},
	} {
		good, err := os.ReadFile(c.object)
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, c.object, c.break_(append([]byte(nil), good...)))
		v, err := a.Verify(t.Context())
		if !errors.Is(err, backup.ErrDamaged) || v == nil || v.OK || v.Problem == "" {
			t.Errorf("%s: got %+v, %v", c.what, v, err)
		}
		overwrite(t, c.object, good)
		// A damaged base is not taken; this one was good before.
		if err := os.Remove(s.objects("base-*.verified.json")[0]); err != nil {
			t.Fatal(err)
		}
	}

	// A segment that is gone is a gap.
	if err := os.Remove(segments[len(segments)-1]); err != nil {
		t.Fatal(err)
	}
	if windows, err := a.Windows(t.Context()); err != nil || len(windows) > 1 || len(windows) == 1 && windows[0].Live {
		t.Errorf("got %+v, %v", windows, err)
	}
}

// Where there is no room to replay the log, or what judges it cannot run, nothing is said
// of what lies in the bucket.
func TestAMachineThatCannotVerify(t *testing.T) {
	s := newSite(t)
	stop := s.stream()
	s.await(s.now())
	for i := range 5 {
		s.write(100*i+1, 100*i+100)
		s.exec("SELECT pg_switch_wal()")
	}
	s.await(s.now())
	stop()
	a := s.archive("berth")
	// The server's user has to get there, which t.TempDir keeps out.
	small, err := os.MkdirTemp("/tmp", "scratch-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(small)
	defer syscall.Unmount(small, syscall.MNT_DETACH) // if the test ends while it is mounted
	a.Job.Scratch = small
	for size := 8; ; size += 16 {
		if err := syscall.Mount("tmpfs", small, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0755", size)); err != nil {
			t.Fatal(err)
		}
		_, err := a.Verify(t.Context())
		if unmountErr := syscall.Unmount(small, 0); unmountErr != nil {
			t.Fatal(unmountErr)
		}
		if err == nil {
			t.Logf("%d MB are enough", size)
			break
		}
		if !strings.Contains(err.Error(), "disk is full") || errors.Is(err, backup.ErrDamaged) || len(s.objects("base-*.verified.json")) > 0 || size > 400 {
			t.Fatalf("with %d MB: %v", size, err)
		}
	}
	if err := os.Remove(s.objects("base-*.verified.json")[0]); err != nil {
		t.Fatal(err)
	}
	a.Job.Scratch = t.TempDir()
	v, err := a.Verify(t.Context())
	if err == nil || errors.Is(err, backup.ErrDamaged) || v != nil || len(s.objects("base-*.verified.json")) > 0 {
		t.Errorf("in a folder that its server cannot reach: %+v, %v", v, err)
	}
}

func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The log is encrypted as dumps are, and cannot be replayed without the key.
func TestEncryptedLog(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.change = func(job *backup.Job) {
		job.Recipients, job.RecipientNames = []age.Recipient{identity.Recipient()}, []string{identity.Recipient().String()}
	}
	s.stream()
	s.await(s.now())
	s.write(1, 20)
	at := s.now()
	s.await(at)
	if plain := s.objects("*.zst"); len(plain) > 0 {
		t.Errorf("not encrypted: %v", plain)
	}
	if _, err := s.archive("berth").Moment(t.Context(), at); err == nil || !strings.Contains(err.Error(), "there is no key") {
		t.Errorf("without the key: %v", err)
	}
	encrypted := s.change
	s.change = func(job *backup.Job) { encrypted(job); job.Identities = []age.Identity{identity} }
	m, err := s.archive("berth").Moment(t.Context(), at)
	if err != nil || m.Tables["public.articles"].Rows != 20 {
		t.Fatalf("got %+v, %v", m, err)
	}
	if err := s.archive("berth").Job.Get(t.Context(), m.ID, io.Discard); err != nil {
		t.Error(err)
	}
}

// A managed server lets nobody replicate: that is said in a line.
func TestNoRightToReplicate(t *testing.T) {
	s := newSite(t)
	s.exec("CREATE ROLE nobody LOGIN")
	_, err := s.archive("nobody").Base(t.Context())
	if err == nil || !strings.Contains(err.Error(), `role "nobody" may not replicate`) || fault.Hint(err) == "" {
		t.Errorf("got %v: %s", err, fault.Hint(err))
	}
}

func TestNothingToReach(t *testing.T) {
	s := newSite(t)
	for _, at := range []time.Time{{}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} {
		if _, err := s.archive("berth").Moment(t.Context(), at); !errors.Is(err, ErrNoWindow) || fault.Hint(err) == "" {
			t.Errorf("%s: got %v", at, err)
		}
	}
}
