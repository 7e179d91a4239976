package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"berth/internal/backup"
)

// Verify replays the newest base of the server that runs to the end of its log, or where
// that has none yet of the newest chain, and reads all that is there then. What turns out
// to be damaged is marked so, and returned with an error.
func (a *Archive) Verify(ctx context.Context) (*Verification, error) {
	chains, err := a.Chains(ctx)
	if err != nil {
		return nil, err
	}
	running := a.running(ctx)
	if len(chains) > 0 { // An older chain was verified in its time.
		c := chains[0]
		if i := slices.IndexFunc(chains, func(c *Chain) bool { return c.Name == running && len(c.windows()) > 0 }); i > 0 {
			c = chains[i] // that of a server which was gone back to
		}
		for i := range c.Bases {
			if _, _, ok := c.window(&c.Bases[i]); !ok {
				continue
			}
			v, err := a.verify(ctx, c, &c.Bases[i])
			if c.Name != running && errors.Is(err, errOtherVersion) {
				break // of before an upgrade
			}
			return v, err
		}
	}
	return nil, unreachable("verify the log: ", chains)
}

func (a *Archive) verify(ctx context.Context, c *Chain, b *Base) (*Verification, error) {
	started := a.Job.Now()
	v := &Verification{ID: b.ID}
	r, err := a.Replay(ctx, c, b, time.Time{})
	if err == nil {
		v.Reached, v.Replay = r.Reached.UTC(), r.Seconds
		err = errors.Join(r.read(ctx), r.Stop())
	}
	v.Time, v.Seconds = a.Job.Now().UTC(), a.Job.Now().Sub(started).Seconds()
	if err != nil {
		err = fmt.Errorf("verify base %s and its log: %w", b.ID, err)
		if !errors.Is(err, backup.ErrDamaged) {
			return nil, err
		}
		v.Problem = err.Error()
	}
	v.OK = err == nil
	if putErr := a.Job.PutJSON(ctx, b.name(".verified.json"), v); putErr != nil {
		return nil, errors.Join(err, putErr)
	}
	if err != nil {
		return v, err
	}
	a.Job.Log.Info("log verified", "base", b.ID, "reached", v.Reached.Format(time.RFC3339), "seconds", v.Seconds)
	return v, nil
}
