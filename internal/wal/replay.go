package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth/internal/backup"
	"berth/internal/fault"
)

// Replay brings a base to a moment, or where that is the zero time to the end of the
// log.
func (a *Archive) Replay(ctx context.Context, c *Chain, b *Base, at time.Time) (*Replayed, error) {
	return a.replay(ctx, c, b, at, place{})
}

func (a *Archive) replay(ctx context.Context, c *Chain, b *Base, at time.Time, in place) (_ *Replayed, err error) {
	p, err := backup.FindPrograms(ctx, a.Job.Bin, b.Version())
	if err != nil {
		return nil, err
	}
	if p.Major() != b.Version() {
		return nil, fault.WithHint(fmt.Errorf("the log of PostgreSQL %d %w, and %d is what is here", b.Version(), errOtherVersion, p.Major()),
			"install it: apt-get install postgresql-%d", b.Version())
	}
	scratch, err := backup.NewScratch(p, a.Job.Scratch)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(in.explain(scratch, err), scratch.Stop())
		}
	}()
	a.Job.Log.Info("fetching the base", "base", b.ID, "bytes", b.Object.Bytes)
	in.data = cmp.Or(in.data, filepath.Join(scratch.Folder, "data"))
	if err := a.extract(ctx, b, scratch, in.data); err != nil {
		return nil, err
	}
	r := &Replayed{Scratch: scratch, Base: b, Programs: p, place: in}
	if r.auto, err = os.ReadFile(filepath.Join(in.data, autoConf)); err != nil {
		return nil, fmt.Errorf("prepare for recovery: %w", err)
	}
	began := time.Now()
	a.Job.Log.Info("replaying the log", "base", b.ID, "to", target(at))
	if err := a.recover(ctx, c, r, at); err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	a.Job.Log.Info("replayed the log", "base", b.ID, "reached", r.Reached.UTC().Format(time.RFC3339Nano), "seconds", r.Seconds)
	return r, nil
}

// errOtherVersion is in the chain when the programs of the server's version are not here.
var errOtherVersion = errors.New("can be replayed by that version alone")

func target(at time.Time) string {
	if at.IsZero() {
		return "the end"
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// recover starts the server on the base's files and waits until it has replayed.
func (a *Archive) recover(ctx context.Context, c *Chain, r *Replayed, at time.Time) error {
	names, to, said := c.run(r.Base)
	f := &fetcher{
		Archive: a, scratch: r.Scratch, folder: filepath.Join(r.Folder, "log.fetched"),
		chain: c, segments: names, bytes: r.Base.SegmentBytes, timeline: r.Base.Timeline, taken: r.taken,
	}
	command, err := f.prepare()
	if err != nil {
		return err
	}
	err = a.start(ctx, f, r, command, at)
	if err != nil && !at.IsZero() && strings.Contains(r.Log(), "recovery ended before configured recovery target was reached") {
		if !said || at.After(to) {
			return fmt.Errorf("%w: %w: %s", ErrNoWindow, ErrShort, r.lastTransaction())
		}
		// Nothing was committed after the moment, and the stream was further.
		if err := os.RemoveAll(f.folder); err != nil {
			return err
		}
		if _, err := f.prepare(); err != nil {
			return err
		}
		err = a.start(ctx, f, r, command, time.Time{})
	}
	if err != nil {
		return err
	}
	if !said {
		to = time.Time{}
	}
	return r.look(ctx, c, at, to)
}

// autoConf is what ALTER SYSTEM writes.
const autoConf = "postgresql.auto.conf"

// start runs the server with the log at hand.
func (a *Archive) start(ctx context.Context, f *fetcher, r *Replayed, command string, at time.Time) error {
	// Nothing of the server's own settings is wanted: not its archive_command, not
	// its preloaded libraries.
	empty, hba, signal := filepath.Join(r.Folder, "postgresql.conf"), filepath.Join(r.Folder, "pg_hba.conf"), filepath.Join(r.data, "recovery.signal")
	for path, text := range map[string]string{empty: "", hba: "local all all trust\n", signal: "", filepath.Join(r.data, autoConf): ""} {
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), r.Give(path)); err != nil {
			return fmt.Errorf("prepare for recovery: %w", err)
		}
	}
	settings := append([]string{
		"config_file=" + empty, "hba_file=" + hba, "ident_file=" + empty, "restore_command=" + command, "recovery_target_timeline=current",
		// Without it no setting has to be as large as the server's was.
		"hot_standby=off", "max_prepared_transactions=100", "max_wal_size=256MB",
	}, r.settings...)
	if !at.IsZero() {
		settings = append(settings, "recovery_target_time="+at.UTC().Format("2006-01-02 15:04:05.999999+00"), "recovery_target_inclusive=on", "recovery_target_action=promote")
	}
	// A log that cannot be fetched ends the replay.
	starting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fetched := make(chan error, 1)
	go func() {
		err := f.run(starting)
		if err != nil {
			cancel(err)
		}
		fetched <- err
	}()
	err := r.Start(starting, r.data, r.Base.Superuser, settings...)
	cancel(nil)
	if fetchErr := <-fetched; fetchErr != nil && ctx.Err() == nil {
		return fetchErr
	}
	switch {
	case errors.Is(err, backup.ErrEnded) && strings.Contains(r.Log(), "for Tablespace/CREATE"):
		return fault.WithHint(fmt.Errorf("a tablespace was made after base %s, which cannot be replayed: %s", r.Base.ID, r.lastWords()),
			"a server with tablespaces of its own cannot be backed up continuously: set continuous to false")
	case errors.Is(err, backup.ErrEnded) && r.Starved():
		return fmt.Errorf("replay the log: %w: %s", err, r.lastWords())
	case errors.Is(err, backup.ErrEnded):
		return fmt.Errorf("%w: it cannot be replayed: %w: %s", backup.ErrDamaged, err, r.lastWords())
	}
	return err
}
