package password

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// cheap keeps the tests quick; nothing but a test may use it.
var cheap = Cost{Memory: 64, Passes: 1}

func TestMatches(t *testing.T) {
	pool := NewPool(1, 1, cheap)
	ctx := t.Context()
	long := strings.Repeat("x", 64)
	hash, err := pool.Hash(ctx, long)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := pool.Hash(ctx, long); again == hash {
		t.Error("the same password hashed twice gave the same hash: no salt")
	}
	for _, test := range []struct {
		name, hash, password string
		want                 bool
	}{
		{"the password", hash, long, true},
		{"one character short", hash, long[1:], false},
		{"empty", hash, "", false},
		{"nobody", "", long, false},
	} {
		if got, err := pool.Matches(ctx, test.hash, test.password); err != nil || got != test.want {
			t.Errorf("%s: got %v, error %v", test.name, got, err)
		}
	}
}

func TestDefaultCostIsHonest(t *testing.T) {
	hash, err := NewPool(1, 0, DefaultCost).Hash(t.Context(), "password")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %s", hash)
	}
}

func TestDamagedHashIsAnError(t *testing.T) {
	pool := NewPool(1, 0, cheap)
	for _, hash := range []string{
		"plain", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=64,t=1,p=1$AAAA$", "$argon2id$v=19$m=64,t=0,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$nonsense$AAAA$AAAA",
	} {
		if ok, err := pool.Matches(t.Context(), hash, "password"); ok || err == nil {
			t.Errorf("%s: got %v, error %v", hash, ok, err)
		}
	}
}

// The pool is filled by taking its slots directly: then nothing depends on how
// long a hash takes.
func TestPoolIsBounded(t *testing.T) {
	pool := NewPool(1, 1, cheap)
	if err := pool.enter(t.Context()); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() {
		_, err := pool.Hash(ctx, "password")
		waited <- err
	}()
	for pool.Waiting() != 1 {
		time.Sleep(time.Millisecond)
	}

	if _, err := pool.Hash(t.Context(), "password"); !errors.Is(err, ErrBusy) {
		t.Errorf("with the queue full: got %v, want ErrBusy", err)
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: got %v", err)
	}
	if pool.Waiting() != 0 || pool.Working() != 1 {
		t.Errorf("waiting %d, working %d, want 0 and 1", pool.Waiting(), pool.Working())
	}
	pool.leave()
	if _, err := pool.Hash(t.Context(), "password"); err != nil {
		t.Errorf("with the pool free again: %v", err)
	}
}
