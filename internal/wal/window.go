package wal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/internal/fault"
)

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

// Windows are the times that can be reached, the newest first; between them lie gaps.
func (a *Archive) Windows(ctx context.Context) ([]Window, error) {
	chains, err := a.Chains(ctx)
	if err != nil {
		return nil, err
	}
	return windows(chains), nil
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

// latest returns the base for the last moment of all: of the servers that are known to
// hold the data, the one whose log goes on the longest. Where a server was lost, the one
// that runs now is an empty one in its place, which has a log too, until something is
// restored into it.
func latest(chains []*Chain, running string) (found *Chain, base *Base, err error) {
	var usable []*Chain
	for _, c := range chains {
		if len(c.windows()) > 0 {
			usable = append(usable, c)
		}
	}
	for _, wanted := range []func(*Chain) bool{
		func(c *Chain) bool { return c.Given || c.verified() || c == usable[len(usable)-1] }, // the first took no one's place
		func(c *Chain) bool { return c.Name != running },
		func(*Chain) bool { return true },
	} {
		var reached time.Time
		for _, c := range usable {
			if !wanted(c) {
				continue
			}
			for i := range c.Bases {
				w, _, ok := c.window(&c.Bases[i])
				if !ok {
					continue
				}
				if w.To.After(reached) {
					found, base, reached = c, &c.Bases[i], w.To
				}
				break // the others lead to what was before
			}
		}
		if found != nil {
			return found, base, nil
		}
	}
	return nil, nil, unreachable("the latest moment: ", chains)
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

// verified reports whether a base of the chain has been replayed.
func (c *Chain) verified() bool {
	return slices.ContainsFunc(c.Bases, func(b Base) bool { return b.Verified != nil && b.Verified.OK })
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
