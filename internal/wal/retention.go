package wal

import (
	"context"
	"fmt"
	"time"

	"berth/internal/fault"
)

// Pruned lists what Prune has removed.
type Pruned struct {
	Bases []string `json:"bases"`
	// Segments counts the segments and pieces.
	Segments int `json:"segments"`
}

// orphanAge is how old what belongs to no base must be: it may be a base's that is
// being made.
const orphanAge = 24 * time.Hour

// Prune keeps the last bases, and the log from the oldest of them on. The newest base
// that has been verified stays in any case, and all that are newer; so does the newest
// chain's newest.
func (a *Archive) Prune(ctx context.Context, last int) (*Pruned, error) {
	if last < 0 {
		return nil, fault.Usage("retention must not be negative")
	}
	chains, err := a.Chains(ctx)
	if err != nil {
		return nil, err
	}
	kept := keep(chains, max(last, 1))
	p := &Pruned{Bases: []string{}}
	for i, c := range chains {
		if err := a.pruneChain(ctx, c, kept, i == 0, p); err != nil {
			return p, fmt.Errorf("prune the log: %w", err)
		}
	}
	a.Job.Log.Info("log pruned", "bases", p.Bases, "segments", p.Segments)
	return p, nil
}

// keep returns the IDs of the bases that stay. Damaged ones take nobody's place.
func keep(chains []*Chain, last int) map[string]bool {
	kept := map[string]bool{}
	sheltered := false // until the newest verified one has been passed
	for _, c := range chains {
		sheltered = sheltered || c.verified()
	}
	for _, c := range chains {
		for i, b := range c.Bases {
			if sheltered || last > 0 && !b.damaged() || i == 0 && c == chains[0] {
				kept[b.ID] = true
			}
			if b.Verified != nil && b.Verified.OK {
				sheltered = false
			}
			if !b.damaged() {
				last--
			}
		}
	}
	return kept
}

// pruneChain removes the bases that do not stay, and the log before those that do.
// Without any the whole chain goes, if it is not what is being streamed.
func (a *Archive) pruneChain(ctx context.Context, c *Chain, kept map[string]bool, newest bool, p *Pruned) error {
	var oldest *Base
	known := map[string]bool{}
	for i := range c.Bases {
		b := &c.Bases[i]
		known[b.ID] = true
		if kept[b.ID] {
			oldest = b
			continue
		}
		// The manifest goes first: from then on the rest does not count.
		for _, name := range []string{b.name(".json"), b.name(".verified.json"), b.Object.Name} {
			if err := a.Job.Bucket.Delete(ctx, name); err != nil {
				return err
			}
		}
		p.Bases = append(p.Bases, b.ID)
	}
	before := a.Job.Now().Add(-orphanAge)
	for _, o := range c.others {
		id := ownBase.FindStringSubmatch(o.name[len(root+c.Name+"/"):])[1]
		if !known[id] && o.modified.Before(before) {
			if err := a.Job.Bucket.Delete(ctx, o.name); err != nil {
				return err
			}
		}
	}
	if oldest == nil && newest {
		return nil // Its first base is still to come.
	}
	first := ""
	if oldest != nil {
		first = segmentOf(oldest.Start, oldest.SegmentBytes).name(oldest.Timeline, oldest.SegmentBytes)
	}
	var gone []object
	for name, o := range c.segments {
		if oldest == nil || name < first {
			gone = append(gone, o)
		}
	}
	for name, pieces := range c.pieces {
		_, complete := c.segments[name]
		if oldest == nil || name < first || complete { // left over
			gone = append(gone, pieces...)
		}
	}
	if oldest == nil && c.State != nil {
		gone = append(gone, object{name: root + c.Name + "/stream.json"})
	}
	if oldest == nil && c.restored != nil && c.restored.modified.Before(before) {
		gone = append(gone, *c.restored)
	}
	for _, o := range gone {
		if err := a.Job.Bucket.Delete(ctx, o.name); err != nil {
			return err
		}
		p.Segments++
	}
	return nil
}
