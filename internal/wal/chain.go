package wal

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"berth/internal/backup"
	"berth/internal/bucket"
)

// A Chain is the log of one server on one timeline, and its bases.
type Chain struct {
	Name string
	// Bases are the usable ones and those found damaged, the newest first.
	Bases []Base
	// State is what the stream said last; nil if it has said nothing.
	State *State
	// Given says that its server was given what another had: by a restore or a move, or as
	// it was made (see Origin).
	Given bool

	segments map[string]object   // complete ones, by name
	pieces   map[string][]object // of others, by the segment's name, in order
	others   []object            // what belongs to bases
	restored *object             // see Restored
}

// object is one in the bucket.
type object struct {
	name     string
	modified time.Time
}

// State is how far a stream is.
type State struct {
	// Time is when this was written.
	Time time.Time `json:"time"`
	// Reached says that what was committed by then is in the bucket, by the server's
	// clock, and Position where the log was.
	Reached  time.Time `json:"reached,omitzero"`
	Position LSN       `json:"position"`
	// Waiting are bytes that are not in the bucket yet.
	Waiting int64 `json:"waiting"`
	// Problem is what keeps the stream from going on.
	Problem string `json:"problem,omitempty"`
}

var (
	ownChain   = regexp.MustCompile(`^\d{1,20}-\d{1,10}$`)
	ownSegment = regexp.MustCompile(`^([0-9A-F]{24})(\.[0-9A-F]{8})?\.zst(\.age)?$`)
	ownBase    = regexp.MustCompile(`^base-(\d{8}_\d{6}_[0-9a-f]{4})(\.json|\.tar\.zst|\.tar\.zst\.age|\.verified\.json)$`)
)

// Chains reads what the bucket holds, the newest chain first.
func (a *Archive) Chains(ctx context.Context) ([]*Chain, error) {
	found := map[string]*Chain{}
	for o, err := range a.list(ctx) {
		if err != nil {
			return nil, err
		}
		name, rest, ok := strings.Cut(strings.TrimPrefix(o.name, root), "/")
		if !ok || !ownChain.MatchString(name) {
			continue
		}
		c := found[name]
		if c == nil {
			c = &Chain{Name: name, segments: map[string]object{}, pieces: map[string][]object{}}
			found[name] = c
		}
		if err := a.add(ctx, c, rest, o); err != nil {
			return nil, err
		}
	}
	var chains []*Chain
	for _, c := range found {
		slices.SortFunc(c.Bases, func(a, b Base) int { return b.Finished.Compare(a.Finished) })
		chains = append(chains, c)
	}
	slices.SortFunc(chains, func(a, b *Chain) int { return cmp.Or(b.newest().Compare(a.newest()), cmp.Compare(a.Name, b.Name)) })
	return chains, nil
}

// State is the last report of the newest stream; nil if there is none.
func (a *Archive) State(ctx context.Context) (*State, error) {
	var newest *State
	for o, err := range a.list(ctx) {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(o.name, "/stream.json") {
			continue
		}
		var s State
		if err := a.Job.GetJSON(ctx, o.name, &s); err != nil {
			if passedOver(err) {
				continue
			}
			return nil, err
		}
		if newest == nil || s.Time.After(newest.Time) {
			newest = &s
		}
	}
	return newest, nil
}

// add puts an object, called rest within the chain, where it belongs.
func (a *Archive) add(ctx context.Context, c *Chain, rest string, o object) (err error) {
	if m := ownSegment.FindStringSubmatch(rest); m != nil {
		if m[2] == "" {
			c.segments[m[1]] = o
		} else {
			c.pieces[m[1]] = append(c.pieces[m[1]], o) // listed in order
		}
		return nil
	}
	if rest == "origin.json" {
		c.Given = true
		return nil
	}
	if rest == restoredName {
		c.Given, c.restored = true, &o
		return nil
	}
	if rest == "stream.json" {
		var s State
		if err := a.Job.GetJSON(ctx, o.name, &s); err == nil {
			c.State = &s
		} else if !passedOver(err) {
			return err
		}
		return nil
	}
	m := ownBase.FindStringSubmatch(rest)
	if m == nil {
		return nil // not ours
	}
	c.others = append(c.others, o)
	if m[2] != ".json" {
		return nil
	}
	var b Base
	if err := a.Job.GetJSON(ctx, o.name, &b); err != nil {
		if passedOver(err) {
			return nil
		}
		return err
	}
	if b.validate(c.Name, m[1]) != nil {
		return nil // Nothing that it says can be relied on.
	}
	var v Verification
	switch err := a.Job.GetJSON(ctx, b.name(".verified.json"), &v); {
	case err == nil:
		b.Verified = &v
	case !passedOver(err):
		return err
	}
	c.Bases = append(c.Bases, b)
	return nil
}

// passedOver reports whether an object is missing or cannot be read, which makes
// others no worse.
func passedOver(err error) bool {
	return errors.Is(err, backup.ErrNone) || errors.Is(err, backup.ErrDamaged)
}

// newest is when its newest base was made, or it was last heard of without one. A server
// that was gone back to from another has an older chain, and newer bases.
func (c *Chain) newest() time.Time {
	if len(c.Bases) > 0 {
		return c.Bases[0].Started
	}
	if c.State != nil {
		return c.State.Time
	}
	return time.Time{}
}

// list lists all objects of all chains.
func (a *Archive) list(ctx context.Context) iter.Seq2[object, error] { return a.below(ctx, root) }

func (a *Archive) below(ctx context.Context, prefix string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for o, err := range a.Job.Bucket.List(ctx, bucket.ListOptions{Below: prefix, Recursive: true}) {
			if !yield(object{o.Name, o.Modified}, err) {
				return
			}
		}
	}
}
