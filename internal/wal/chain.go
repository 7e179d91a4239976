package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"berth/internal/backup"
	"berth/internal/fault"
)

// A Chain is the log of one server on one timeline, and its bases.
type Chain struct {
	Name string
	// Bases are the usable ones and those found damaged, the newest first.
	Bases []Base
	// State is what the stream said last; nil if it has said nothing.
	State *State

	segments map[string]object   // complete ones, by name
	pieces   map[string][]object // of others, by the segment's name, in order
	others   []object            // what belongs to bases
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

// A Window is a span of time in which any moment can be restored.
type Window struct {
	Chain string    `json:"chain"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	// Verified is up to where the log has been replayed.
	Verified time.Time `json:"verified,omitzero"`
	// Live says that it grows: it is the stream's.
	Live bool `json:"live"`
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

// last is the last segment that there is any of.
func (c *Chain) last() (name string) {
	for segment := range c.segments {
		name = max(name, segment)
	}
	for segment := range c.pieces {
		name = max(name, segment)
	}
	return name
}

// run returns the segments that are there without a gap from a base's first on, and
// up to when they reach. Where the stream has said that, it is said; before a gap it is
// when the last one was put there, which may be later than what is in it.
func (c *Chain) run(b *Base) (names []string, to time.Time, said bool) {
	for s := segmentOf(b.Start, b.SegmentBytes); ; s++ {
		name := s.name(b.Timeline, b.SegmentBytes)
		o, complete := c.segments[name]
		pieces := c.pieces[name]
		if !complete && len(pieces) == 0 {
			break
		}
		names = append(names, name)
		if !complete {
			to = pieces[len(pieces)-1].modified
			break // The rest of it is not there, nor does the next one help.
		}
		to = o.modified
	}
	// What it says is of no use before the first of a new stretch is there: then it is
	// of the other side of a gap.
	if n := len(names); n > 0 && names[n-1] == c.last() && c.State != nil &&
		segmentOf(max(c.State.Position, 1)-1, b.SegmentBytes).name(b.Timeline, b.SegmentBytes) <= names[n-1] {
		return names, c.State.Reached, true
	}
	return names, to, false
}

// window is what can be reached from a base; ok is false if nothing can.
func (c *Chain) window(b *Base) (w Window, last string, ok bool) {
	names, to, said := c.run(b)
	if len(names) == 0 || !to.After(b.Finished) || b.damaged() {
		return w, "", false
	}
	last = names[len(names)-1]
	end := segmentOf(b.End-1, b.SegmentBytes).name(b.Timeline, b.SegmentBytes)
	w = Window{Chain: c.Name, From: b.Finished, To: to, Live: said}
	if b.Verified != nil {
		w.Verified = b.Verified.Reached
	}
	return w, last, last >= end
}

// windows are what can be reached in a chain, the newest first.
func (c *Chain) windows() (all []Window) {
	ends := map[string]int{} // windows by their last segment
	for i := range c.Bases {
		w, last, ok := c.window(&c.Bases[i])
		if !ok {
			continue
		}
		if at, seen := ends[last]; seen { // An older base of the same stretch.
			all[at].From = w.From
			if w.Verified.After(all[at].Verified) {
				all[at].Verified = w.Verified
			}
			continue
		}
		ends[last] = len(all)
		all = append(all, w)
	}
	return all
}

// Windows are the times that can be reached, the newest first; between them lie gaps.
func (a *Archive) Windows(ctx context.Context) ([]Window, error) {
	chains, err := a.Chains(ctx)
	if err != nil {
		return nil, err
	}
	return windows(chains), nil
}

func windows(chains []*Chain) []Window {
	all := []Window{}
	for i, c := range chains {
		for _, w := range c.windows() {
			w.Live = w.Live && i == 0
			all = append(all, w)
		}
	}
	return all
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

// find returns the base to reach a moment from: the last one before it.
func find(chains []*Chain, at time.Time) (*Chain, *Base, error) {
	for _, c := range chains {
		for i := range c.Bases {
			if w, _, ok := c.window(&c.Bases[i]); ok && !at.Before(w.From) && !at.After(w.To) {
				return c, &c.Bases[i], nil
			}
		}
	}
	return nil, nil, unreachable(fmt.Sprintf("%s: ", at.UTC().Format(time.DateTime+" MST")), chains)
}

// unreachable says what can be reached instead.
func unreachable(what string, chains []*Chain) error {
	err := fmt.Errorf("%s%w", what, ErrNoWindow)
	var spans []string
	for _, w := range windows(chains) {
		spans = append(spans, w.From.UTC().Format(time.DateTime)+" to "+w.To.UTC().Format(time.DateTime+" MST"))
	}
	if len(spans) == 0 {
		return fault.WithHint(err, "there is no base with its log yet: the stream makes one when it begins, and the daily job another")
	}
	return fault.WithHint(err, "what can be reached: %s", strings.Join(spans, "; "))
}

// latest returns the base for the last moment of all: of the chain that was verified
// last. Where none has been, of the last server but the one that runs now, if that
// is not the only one: it is the empty one in place of that which was lost.
func latest(chains []*Chain, running string) (*Chain, *Base, error) {
	var usable []*Chain
	for _, c := range chains {
		if len(c.windows()) > 0 {
			usable = append(usable, c)
		}
	}
	for _, wanted := range []func(*Chain) bool{
		func(c *Chain) bool { return c.verified() },
		func(c *Chain) bool { return c.Name != running },
		func(*Chain) bool { return true },
	} {
		for _, c := range usable {
			if !wanted(c) {
				continue
			}
			for i := range c.Bases {
				if _, _, ok := c.window(&c.Bases[i]); ok {
					return c, &c.Bases[i], nil
				}
			}
		}
	}
	return nil, nil, unreachable("the latest moment: ", chains)
}

// verified reports whether a base of the chain has been replayed.
func (c *Chain) verified() bool {
	return slices.ContainsFunc(c.Bases, func(b Base) bool { return b.Verified != nil && b.Verified.OK })
}
