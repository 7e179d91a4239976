package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/fault"
)

// Moment makes a backup of the database as it was at a moment: with everything
// committed by then and nothing later. The zero time means the last moment that can
// be restored. It is then a backup like any other.
func (a *Archive) Moment(ctx context.Context, at time.Time) (*backup.Manifest, error) {
	c, b, err := a.find(ctx, at)
	if err != nil {
		return nil, err
	}
	r, err := a.Replay(ctx, c, b, at)
	if err != nil {
		return nil, fmt.Errorf("go back to %s: %w", target(at), err)
	}
	job := *a.Job
	job.Database, job.Moment = r.Database.Named(a.Job.Name()), r.Reached.UTC()
	m, err := job.Run(ctx)
	return m, errors.Join(err, r.Stop())
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

// read reads every row of every database, as pg_dump does.
func (r *Replayed) read(ctx context.Context) error {
	c, err := r.Database.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	rows, err := c.Query(ctx, "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1")
	if err != nil {
		return fmt.Errorf("list the databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the databases: %w", err)
	}
	for _, name := range names {
		command, said := r.Programs.Command(ctx, r.Database.Named(name), "pg_dump", "--no-password")
		command.Stdout = io.Discard
		if err := said.Explain("pg_dump", command.Run()); err != nil {
			return cmp.Or(ctx.Err(), fmt.Errorf("%w: read database %q: %w", backup.ErrDamaged, name, err))
		}
	}
	return nil
}
