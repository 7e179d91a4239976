// Package password hashes and checks passwords with argon2id (RFC 9106), a
// few at a time.
//
// A hash is meant to be slow and large, which makes a login the cheapest way
// to bring a server down. A [Pool] therefore bounds how many are computed at
// once and how many wait, so that the rest of the API goes on during a flood.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// ErrBusy is returned when as many passwords wait as may wait.
var ErrBusy = errors.New("too many passwords wait to be hashed")

// Cost is what one hash takes.
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
}

// DefaultCost is the setting that the OWASP Password Storage Cheat Sheet names
// for argon2id with one thread: 19 MiB, two passes.
var DefaultCost = Cost{Memory: 19 * 1024, Passes: 2}

// limit bounds what a stored hash may ask for, as it is data too.
var limit = Cost{Memory: 1 << 20, Passes: 16}

const (
	threads   = 1
	saltBytes = 16
	keyBytes  = 32
)

// A Pool computes hashes.
type Pool struct {
	cost  Cost
	slots chan struct{}
	// admitted counts who computes or waits; at most capacity do.
	admitted atomic.Int64
	capacity int64
	// decoy is compared with when there is no such user, so that the time of
	// an answer does not tell which users exist.
	decoy string
}

// NewPool returns a pool that computes at most workers hashes at once and lets
// at most queue more wait.
func NewPool(workers, queue int, cost Cost) *Pool {
	p := &Pool{cost: cost, slots: make(chan struct{}, workers), capacity: int64(workers + queue)}
	p.decoy = p.encode(rand.Text())
	return p
}

// Hash returns the hash to store for a password, in the PHC string format.
func (p *Pool) Hash(ctx context.Context, password string) (string, error) {
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer p.leave()
	return p.encode(password), nil
}

// Matches reports whether hash was made from password. An empty hash stands
// for a user that does not exist: it takes as long and matches nothing.
func (p *Pool) Matches(ctx context.Context, hash, password string) (bool, error) {
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer p.leave()
	if hash == "" {
		if _, err := matches(p.decoy, password); err != nil {
			return false, err
		}
		return false, nil
	}
	return matches(hash, password)
}

// Working returns how many hashes are being computed.
func (p *Pool) Working() int { return len(p.slots) }

// Waiting returns how many wait for a worker.
func (p *Pool) Waiting() int { return max(0, int(p.admitted.Load())-len(p.slots)) }

func (p *Pool) enter(ctx context.Context) error {
	if p.admitted.Add(1) > p.capacity {
		p.admitted.Add(-1)
		return ErrBusy
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		p.admitted.Add(-1)
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

func (p *Pool) leave() {
	<-p.slots
	p.admitted.Add(-1)
}

func (p *Pool) encode(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // It never fails: crypto/rand ends the program instead.
	key := argon2.IDKey([]byte(password), salt, p.cost.Passes, p.cost.Memory, threads, keyBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.cost.Memory, p.cost.Passes, threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

func matches(hash, password string) (bool, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, errors.New("stored password hash is not argon2id")
	}
	var cost Cost
	var lanes uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &cost.Memory, &cost.Passes, &lanes); err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case saltErr != nil || keyErr != nil || len(key) < 16 || len(key) > 64:
		return false, errors.New("stored password hash is damaged")
	case cost.Memory > limit.Memory || cost.Passes > limit.Passes || cost.Passes < 1 || lanes < 1:
		return false, errors.New("stored password hash asks for an unreasonable cost")
	}
	got := argon2.IDKey([]byte(password), salt, cost.Passes, cost.Memory, lanes, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1, nil
}
