package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"berth/internal/fault"
)

// BaseOf is the base that a moment would be reached from now; the zero time means the
// last moment.
func (a *Archive) BaseOf(ctx context.Context, at time.Time) (*Base, error) {
	chains, err := a.Chains(ctx)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		_, b, err := latest(chains, "")
		return b, err
	}
	_, b, err := find(chains, at)
	if err != nil && a.Job.Now().Sub(at) < Soon && len(chains) > 0 && len(chains[0].Bases) > 0 {
		return &chains[0].Bases[0], nil // The stream has not said yet that it is there.
	}
	return b, err
}

// Reaches is the last moment that the log reaches now.
func (a *Archive) Reaches(ctx context.Context) (time.Time, error) {
	chains, err := a.Chains(ctx)
	if err != nil {
		return time.Time{}, err
	}
	c, b, err := latest(chains, "")
	if err != nil {
		return time.Time{}, err
	}
	w, _, _ := c.window(b) // it has one, or it were not the latest
	return w.To, nil
}

// Await waits until the stream has brought the log that a base needs.
func (a *Archive) Await(ctx context.Context, b *Base, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; {
		chains, err := a.Chains(ctx)
		if err != nil {
			return err
		}
		for _, c := range chains {
			if i := slices.IndexFunc(c.Bases, func(other Base) bool { return other.ID == b.ID }); i >= 0 {
				if _, _, ok := c.window(&c.Bases[i]); ok {
					return nil
				}
			}
		}
		if time.Now().After(deadline) {
			err := fmt.Errorf("the stream has not brought the log of base %s within %s", b.ID, patience)
			return fault.WithHint(err, "see the stream's log")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// Soon is how long after a moment the stream has said that it has reached it, if all
// is well.
const Soon = 30 * time.Second

// find returns the base to reach a moment from. For one that has just been it waits
// until the stream has said that it is there.
func (a *Archive) find(ctx context.Context, at time.Time) (*Chain, *Base, error) {
	for {
		chains, err := a.Chains(ctx)
		if err != nil {
			return nil, nil, err
		}
		if at.IsZero() {
			return latest(chains, a.running(ctx))
		}
		c, b, err := find(chains, at)
		if ago := a.Job.Now().Sub(at); err == nil || ago < 0 || ago > Soon {
			return c, b, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// restoredName is the object of a chain that says when its server was given what another
// had.
const restoredName = "restored.json"

// Restored notes that the server that runs now was given what another had: it is not an
// empty one in the place of one that was lost, and the last moment of all is of its log.
func (a *Archive) Restored(ctx context.Context) error {
	chain := a.running(ctx)
	if chain == "" {
		return errors.New("note in the bucket that the server's log goes on from what was restored: the server cannot be asked which it is")
	}
	return a.Job.PutJSON(ctx, root+chain+"/"+restoredName, struct {
		Time time.Time `json:"time"`
	}{a.Job.Now().UTC()})
}

// running is the chain of the server that runs now; empty if that cannot be asked.
func (a *Archive) running(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := a.Job.Database.Connect(ctx)
	if err != nil {
		return ""
	}
	defer c.Close(context.WithoutCancel(ctx))
	now, err := look(ctx, c, "")
	if err != nil {
		return ""
	}
	return now.chain()
}
