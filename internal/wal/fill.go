package wal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
	"berth/internal/fault"
)

// Filling is how a server's data is made of a base and its log.
type Filling struct {
	// At is the moment; the zero time means the last one that can be restored.
	At time.Time
	// Data is the folder to make. It appears when it is whole.
	Data string
	// Version is the major version of the server that will start on it.
	Version int
	// Grant makes the roles that the new server's backups enter it as; nil makes none.
	Grant func(context.Context, *backup.Database) error
}

// Filled says what a folder was filled with.
type Filled struct {
	Base string `json:"base"`
	// Moment is what it holds.
	Moment time.Time `json:"moment"`
	// Chain is what its log will be.
	Chain string `json:"chain"`
	// Bytes is the size of its databases.
	Bytes int64 `json:"bytes"`
	// Seconds is how long all took, ReplaySeconds the replaying.
	Seconds       float64  `json:"seconds"`
	ReplaySeconds float64  `json:"replaySeconds"`
	Warnings      []string `json:"warnings,omitempty"`
}

// Origin is why a chain begins: a server was made of another one's log. It also keeps
// others from taking the same timeline.
type Origin struct {
	Time   time.Time `json:"time"`
	Base   string    `json:"base"`
	Moment string    `json:"moment"`
}

// Fill makes the data of a server as it was at a moment, to start on: nothing is dumped
// or loaded. The job's database is the present one, entered as a superuser, whose roles
// and passwords the new one gets. What an interrupted Fill has left is removed.
func (a *Archive) Fill(ctx context.Context, o Filling) (_ *Filled, err error) {
	started := a.Job.Now()
	defer func() {
		if err != nil {
			err = fmt.Errorf("go back to %s: %w", target(o.At), err)
		}
	}()
	if _, err := os.Stat(o.Data); err == nil {
		return nil, fault.WithHint(fmt.Errorf("%s is there already", o.Data), "name a folder that is not there yet")
	}
	filled := &Filled{}
	if others, err := a.Job.Database.Others(ctx); err == nil && len(others) > 0 {
		return nil, holdsOthers(others)
	}
	c, b, err := a.find(ctx, o.At)
	if err != nil {
		return nil, err
	}
	if b.Version() != o.Version {
		return nil, fault.WithHint(fmt.Errorf("the log is of PostgreSQL %d, whose files PostgreSQL %d cannot read", b.Version(), o.Version),
			"restore by dump and load")
	}
	partial := o.Data + ".filling"
	if err := os.RemoveAll(partial); err != nil {
		return nil, fmt.Errorf("remove what an earlier run has left: %w", err)
	}
	if err := room(filepath.Dir(o.Data), b); err != nil {
		return nil, err
	}
	timeline, err := a.claimTimeline(ctx, b, o.At)
	if err != nil {
		return nil, err
	}
	r, err := a.replay(ctx, c, b, o.At, place{data: partial, taken: timeline - 1, settings: []string{"wal_level=replica"}})
	if err == nil {
		if err = a.complete(ctx, r, o, timeline, filled); err != nil {
			err = r.explain(r.Scratch, err)
		}
		err = errors.Join(err, r.Stop())
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(partial))
	}
	if err := appear(partial, o.Data); err != nil {
		return nil, err
	}
	filled.Base, filled.Moment, filled.ReplaySeconds = b.ID, r.Reached.UTC(), r.Seconds
	filled.Chain = fmt.Sprintf("%s-%d", b.system(), timeline)
	filled.Seconds = a.Job.Now().Sub(started).Seconds()
	a.Job.Log.Info("filled", "base", filled.Base, "moment", filled.Moment, "chain", filled.Chain, "bytes", filled.Bytes,
		"seconds", filled.Seconds, "replaySeconds", filled.ReplaySeconds, "warnings", filled.Warnings)
	return filled, nil
}

// claimTimeline finds a timeline that no server of the same origin has, and notes in the
// bucket that it is taken: two of one name would write one chain.
func (a *Archive) claimTimeline(ctx context.Context, b *Base, at time.Time) (timeline uint32, err error) {
	chains, err := a.Chains(ctx)
	if err != nil {
		return 0, err
	}
	names := []string{a.running(ctx)}
	for _, c := range chains {
		names = append(names, c.Name)
	}
	timeline = b.Timeline
	for _, name := range names {
		var is uint32
		if number, ours := strings.CutPrefix(name, b.system()+"-"); ours {
			if _, err := fmt.Sscan(number, &is); err != nil {
				return 0, fmt.Errorf("chain %s: %w", name, err)
			}
		}
		timeline = max(timeline, is)
	}
	if timeline == math.MaxUint32 {
		return 0, errors.New("there is no timeline left")
	}
	timeline++
	return timeline, a.Job.PutJSON(ctx, fmt.Sprintf("%s%s-%d/origin.json", root, b.system(), timeline), Origin{a.Job.Now().UTC(), b.ID, target(at)})
}

// complete makes of a replayed server one that serves in place of the present one, and
// ends it in order.
func (a *Archive) complete(ctx context.Context, r *Replayed, o Filling, timeline uint32, filled *Filled) error {
	there := r.Database.Named(a.Job.Name())
	others, err := there.Others(ctx)
	if err == nil && len(others) > 0 {
		err = holdsOthers(others)
	}
	if err != nil {
		return err
	}
	a.Job.Log.Info("reading every row", "base", r.Base.ID)
	if err := r.read(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx, timeline, filled); err != nil {
		return err
	}
	warning, err := a.Job.Admit(ctx, there)
	if err != nil {
		return err
	}
	if warning != "" {
		filled.Warnings = append(filled.Warnings, warning)
	}
	if o.Grant != nil {
		if err := o.Grant(ctx, there); err != nil {
			return err
		}
	}
	a.Job.Log.Info("writing all to the disk", "base", r.Base.ID)
	if err := r.Shutdown(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, r.lastWords())
	}
	if err := os.WriteFile(filepath.Join(r.data, autoConf), r.auto, 0o600); err != nil {
		return err
	}
	for _, name := range []string{"backup_manifest", "backup_label.old"} { // They are the base's.
		if err := os.Remove(filepath.Join(r.data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	// It has run without fsync: now all has to be there.
	if output, err := r.Command(ctx, "initdb", "--sync-only", "--pgdata="+r.data).CombinedOutput(); err != nil {
		return fmt.Errorf("write all to the disk: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

func holdsOthers(names []string) error {
	return fault.WithHint(fmt.Errorf("the server also has the database %s, which would go back too", strings.Join(names, ", ")),
		"restore by dump and load, which leaves it as it is")
}

// settle looks at the server: that it is on its own timeline, and has nothing that waits to
// be committed, as what is dumped has not.
func (r *Replayed) settle(ctx context.Context, timeline uint32, filled *Filled) error {
	c, err := r.Database.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	var file string
	if err := c.QueryRow(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn()), (SELECT sum(pg_database_size(oid))::bigint FROM pg_database)").Scan(&file, &filled.Bytes); err != nil {
		return fmt.Errorf("look at the replayed server: %w", err)
	}
	if want := fmt.Sprintf("%08X", timeline); file[:8] != want {
		return fmt.Errorf("the replayed server is on timeline %s, and %s was meant", file[:8], want)
	}
	rows, err := c.Query(ctx, "SELECT database, gid FROM pg_prepared_xacts ORDER BY 1, 2")
	if err != nil {
		return fmt.Errorf("look for prepared transactions: %w", err)
	}
	type prepared struct{ Database, GID string }
	waiting, err := pgx.CollectRows(rows, pgx.RowToStructByPos[prepared])
	if err != nil {
		return fmt.Errorf("look for prepared transactions: %w", err)
	}
	for _, p := range waiting {
		if err := r.rollBack(ctx, p.Database, p.GID); err != nil {
			return err
		}
		filled.Warnings = append(filled.Warnings, fmt.Sprintf("the prepared transaction %q was rolled back", p.GID))
	}
	return nil
}

func (r *Replayed) rollBack(ctx context.Context, database, gid string) error {
	c, err := r.Database.Named(database).Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	if _, err := c.Exec(ctx, "ROLLBACK PREPARED '"+strings.ReplaceAll(gid, "'", "''")+"'"); err != nil {
		return fmt.Errorf("roll back the prepared transaction %q: %w", gid, err)
	}
	return nil
}

// appear gives a folder its name, for good.
func appear(partial, name string) error {
	if err := os.Rename(partial, name); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
