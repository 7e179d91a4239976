package wal

import (
	"testing"
	"time"
)

// What the stream says counts for the log that it is about, and for no other: after a
// gap it says that it is there before the first piece of the new stretch is.
func TestWindowEndsAtAGap(t *testing.T) {
	const size = 16 << 20
	at := func(minute int) time.Time { return time.Date(2026, 3, 1, 14, minute, 0, 0, time.UTC) }
	name := func(s segment) string { return s.name(1, size) }
	for _, test := range []struct {
		about    string
		position LSN
		piece    bool // of segment 4
		to       time.Time
		live     bool
	}{
		{"within the last piece", 4*size + 100, true, at(9), true},
		{"at the end of the last segment", 4 * size, false, at(9), true},
		{"nothing is said of the log yet", 0, false, at(9), true},
		{"in the next segment, nothing of which has come", 4*size + 40, false, at(3), false},
		{"far ahead", 15*size + 40, true, at(4), false},
	} {
		t.Run(test.about, func(t *testing.T) {
			c := &Chain{
				Name:     "7-1",
				Bases:    []Base{{Start: 2*size + 40, End: 2*size + 80, Timeline: 1, SegmentBytes: size, Finished: at(1)}},
				State:    &State{Reached: at(9), Position: test.position},
				segments: map[string]object{name(2): {modified: at(2)}, name(3): {modified: at(3)}},
				pieces:   map[string][]object{},
			}
			if test.piece {
				c.pieces[name(4)] = []object{{modified: at(4)}}
			}
			w, _, ok := c.window(&c.Bases[0])
			if !ok || !w.To.Equal(test.to) || w.Live != test.live {
				t.Errorf("got %+v, %v; want it to end at %s", w, ok, test.to)
			}
		})
	}
}

// The latest moment is of the server that holds the data, however little is known of it.
func TestLatest(t *testing.T) {
	const size = 16 << 20
	chain := func(name string, minute int, verified, given bool) *Chain {
		at := time.Date(2026, 3, 1, 14, minute, 0, 0, time.UTC)
		c := &Chain{
			Name: name, Given: given, State: &State{Reached: at.Add(time.Minute), Position: 2*size + 100},
			Bases:    []Base{{Start: 2*size + 40, End: 2*size + 80, Timeline: 1, SegmentBytes: size, Finished: at}},
			segments: map[string]object{segment(2).name(1, size): {modified: at}}, pieces: map[string][]object{},
		}
		if verified {
			c.Bases[0].Verified = &Verification{OK: true}
		}
		return c
	}
	until := func(c *Chain, minute int) *Chain {
		c.State.Reached = time.Date(2026, 3, 1, 14, minute, 0, 0, time.UTC)
		return c
	}
	for _, test := range []struct {
		about   string
		chains  []*Chain // the newest first
		running string
		want    string
	}{
		{"the first server", []*Chain{chain("1-1", 1, false, false)}, "1-1", "1-1"},
		{"an empty one in its place", []*Chain{chain("2-1", 2, false, false), chain("1-1", 1, false, false)}, "2-1", "1-1"},
		{"the same, and the first was verified", []*Chain{chain("2-1", 2, false, false), chain("1-1", 1, true, false)}, "2-1", "1-1"},
		{"the same, and the server cannot be asked", []*Chain{chain("2-1", 2, false, false), chain("1-1", 1, false, false)}, "", "1-1"},
		{"two empty ones, one after the other", []*Chain{chain("3-1", 3, false, false), chain("2-1", 2, false, false), chain("1-1", 1, true, false)}, "3-1", "1-1"},
		{"restored into the one in its place", []*Chain{chain("2-1", 2, false, true), chain("1-1", 1, true, false)}, "2-1", "2-1"},
		{"which is lost as well", []*Chain{chain("3-1", 3, false, false), chain("2-1", 2, false, true), chain("1-1", 1, true, false)}, "3-1", "2-1"},
		{"gone back to", []*Chain{chain("2-1", 2, false, true), until(chain("1-1", 1, true, false), 9)}, "1-1", "1-1"},
		{"gone back to, and lost then", []*Chain{chain("3-1", 11, false, false), chain("2-1", 2, false, true), until(chain("1-1", 1, true, false), 9)}, "3-1", "1-1"},
		{"made anew long ago", []*Chain{chain("2-1", 2, true, false), chain("1-1", 1, true, false)}, "2-1", "2-1"},
	} {
		t.Run(test.about, func(t *testing.T) {
			if c, _, err := latest(test.chains, test.running); err != nil || c.Name != test.want {
				t.Errorf("got %+v, %v, want %s", c, err, test.want)
			}
		})
	}
}
