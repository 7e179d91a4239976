package digitalocean

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheStateInASpaceIsEverybodys(t *testing.T) {
	w := start(t)
	w.mustInit(t)
	id := w.shop(t).ID
	// It begins in a file and moves.
	w.config.DigitalOcean.State = w.config.DigitalOcean.Bucket + "-state"
	since := len(w.do.Requests())
	w.mustInit(t)
	if changed := w.changed(since); len(changed) > 0 {
		t.Errorf("moving the state did %q", changed)
	}
	b, err := newBackend(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if there, err := b.has(t.Context()); err != nil || !there {
		t.Fatalf("the state is not in the Space: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(w.folder(), "terraform", backendFile))
	if err != nil || !strings.Contains(string(text), "use_lockfile = true") {
		t.Errorf("%v: the backend is\n%s", err, text)
	}
	for _, secret := range w.config.DotEnv {
		if strings.Contains(string(text), secret) && !strings.Contains(secret, "://") {
			t.Error("the backend's file holds a secret")
		}
	}

	// A killed command has left its lock.
	lock, err := json.Marshal(map[string]string{"ID": "1", "Who": self()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.space.Put(t.Context(), b.key+".tflock", lock); err != nil {
		t.Fatal(err)
	}
	// On another machine it is all known, and nothing is to do.
	w.config.StateDir = filepath.Join(t.TempDir(), "elsewhere")
	since = len(w.do.Requests())
	w.mustInit(t)
	if changed := w.changed(since); len(changed) > 0 || w.shop(t).ID != id {
		t.Errorf("init on another machine did %q", changed)
	}
	w.wantNoChange(t)
	if _, err := w.Destroy(t.Context(), w.said); err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
	w.wantGone(t)
}

func TestTheLockOfOthersStays(t *testing.T) {
	w := start(t)
	w.config.DigitalOcean.State = w.config.DigitalOcean.Bucket + "-state"
	b, err := newBackend(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.make(t.Context()); err != nil {
		t.Fatal(err)
	}
	lock := `{"ID":"1","Who":"somebody@elsewhere"}`
	if err := b.space.Put(t.Context(), b.key+".tflock", []byte(lock)); err != nil {
		t.Fatal(err)
	}
	if err := b.breakOwnLock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.space.Stat(t.Context(), b.key+".tflock"); err != nil {
		t.Errorf("the lock of somebody else is gone: %v", err)
	}
}
