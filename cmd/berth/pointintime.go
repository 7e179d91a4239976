package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"berth/internal/fault"
	"berth/internal/platform"
	"berth/internal/release"
	"berth/internal/wal"
)

// clock is how a moment is shown: in local time, and which that is.
const clock = "2006-01-02 15:04:05 MST"

// backupWindows lists the moments that can be gone back to.
func (a *app) backupWindows(ctx context.Context, b *backedUp) error {
	windows, err := b.archive.Windows(ctx)
	if err != nil {
		return err
	}
	if len(windows) == 0 {
		return a.console.Print("No moment between backups can be restored yet.")
	}
	var rows [][]string
	for _, w := range windows {
		replayed := "never"
		if !w.Verified.IsZero() {
			replayed = w.Verified.Local().Format(clock)
		}
		rows = append(rows, []string{mark(true), w.From.Local().Format(clock), w.To.Local().Format(clock), replayed})
	}
	a.console.Table([]string{" ", "ANY MOMENT FROM", "TO", "REPLAYED UP TO"}, rows)
	return nil
}

// restoreMoment brings the database as it was at a moment, while the application still
// serves, and then puts it in place.
func (a *app) restoreMoment(ctx context.Context, b *backedUp, o restoring, at time.Time) error {
	what := "the last moment that its log has"
	if !at.IsZero() {
		what = at.Local().Format(clock) + ", " + since(at, time.Now()) + " ago"
	}
	whole, because, err := wholeServer(ctx, b, o, at)
	if err != nil {
		return err
	}
	if whole {
		return a.restoreServer(ctx, b, o, at, what, because)
	}
	a.console.Print("This replaces the database of %s by that of %s, on cluster %s. It is dumped and loaded%s.\n"+
		"%s is stopped for the last step. What is there now is %skept under another name.",
		b.environment, what, o.cluster.Name, because, b.environment, o.first())
	if err := a.confirmRestore(ctx, b.environment); err != nil {
		return err
	}
	id, err := o.job.Moment(ctx, at, a.console.Reporter())
	if err != nil {
		return err
	}
	entry, err := b.archive.Find(ctx, id)
	if err != nil {
		return err
	}
	if err := a.console.Print("Backup %s is %s as of %s: %d rows.", id, b.environment, entry.Of().Local().Format(clock), entry.Rows()); err != nil {
		return err
	}
	return a.restoreEntry(ctx, b, o, entry)
}

// large is how much a database holds that is not dumped and loaded any more.
const large = 5_000_000_000

// wholeServer decides whether a moment is brought back as a new server, which starts on
// the files of then, or by dump and load, and says why.
func wholeServer(ctx context.Context, b *backedUp, o restoring, at time.Time) (whole bool, because string, err error) {
	base, err := b.archive.BaseOf(ctx, at)
	if err != nil {
		return false, "", err
	}
	serves, err := o.found.Database(ctx, b.environment)
	if err != nil {
		return false, "", err
	}
	bytes, several := base.Holds()
	size := humanize.Bytes(uint64(max(0, bytes)))
	cannot := ""
	switch {
	case serves == (release.Server{}):
		cannot = b.environment + " has no server of berth's own"
	case base.Version() != serves.Version:
		cannot = fmt.Sprintf("its log is of PostgreSQL %d, and the server is %s", base.Version(), serves)
	case len(several) > 0:
		cannot = "its server also had other databases: " + strings.Join(several, ", ")
	}
	switch {
	case o.asked && o.wholeServer && cannot != "":
		return false, "", fault.WithHint(fault.Usage("this moment cannot be restored as a whole server: %s", cannot), "--whole-server=false dumps and loads")
	case o.asked:
		return o.wholeServer, "", nil
	case bytes <= large:
		return false, "", nil
	case cannot != "":
		return false, fmt.Sprintf(", which takes a while with %s, because %s", size, cannot), nil
	}
	return true, ", because it has " + size, nil
}

// restoreServer puts a new server in place of the present one, which has what was there
// at a moment.
func (a *app) restoreServer(ctx context.Context, b *backedUp, o restoring, at time.Time, what, because string) error {
	a.console.Print("This replaces the PostgreSQL server of %s by a new one with %s, on cluster %s.\n"+
		"Nothing is dumped and loaded%s: a new volume gets the server's files of then, while %s serves. They need as much room again.\n"+
		"Then %s is stopped and started on the new server. What is there now stays in the old server's volume, and no other backup is made of it.",
		b.environment, what, o.cluster.Name, because, b.environment, b.environment)
	if err := a.confirmRestore(ctx, b.environment); err != nil {
		return err
	}
	r := a.console.Reporter()
	var filled *wal.Filled
	done, err := o.found.ReplaceDatabase(ctx, b.environment, func(ctx context.Context, v release.Volume) (err error) {
		filled, err = o.job.Fill(ctx, at, platform.Volume(v), r)
		return err
	}, r)
	if err != nil {
		return err
	}
	if filled == nil {
		return a.console.Print("An earlier restore was interrupted after it had switched: it is finished, and %s is on %s. Nothing else was restored: run this again if you want another moment.",
			b.environment, done.To)
	}
	a.console.Print("%s serves what was there on %s: %s, as %s. Nothing could be written for %.1f s.",
		b.environment, filled.Moment.Local().Format(time.DateTime), humanize.Bytes(uint64(max(0, filled.Bytes))), done.To, done.Outage.Seconds())
	return a.console.Print("The old %s is kept as it was then. To return to it: berth database upgrade %s --back. To remove it: berth database upgrade %s --forget",
		done.From, b.environment, b.environment)
}

// getMoment makes a backup of a moment, and returns its ID.
func (a *app) getMoment(ctx context.Context, b *backedUp, o backupOptions) (id string, err error) {
	at, err := a.momentOf(ctx, b, nil, o)
	if err != nil {
		return "", err
	}
	_, _, job, err := a.connectBackups(ctx, b)
	if err != nil {
		return "", err
	}
	return job.Moment(ctx, at, a.console.Reporter())
}

// momentOf returns the moment to go back to, which can be reached; zero stands for the
// latest one.
func (a *app) momentOf(ctx context.Context, b *backedUp, found releases, o backupOptions) (at time.Time, err error) {
	switch {
	case o.id != "":
		return at, fault.Usage("an ID names a backup, --at and --before name a moment: take one of them")
	case o.at.moment != "" && o.before != 0:
		return at, fault.Usage("--at and --before both name a moment: take one of them")
	case !b.config.Environments[b.environment].Backup.Streams():
		return at, fault.WithHint(fault.Usage("%s is not backed up continuously: you can restore a backup, but not any moment", b.environment),
			"berth backup list, or environments.%s.backup.continuous: true in berth.yaml", b.environment)
	case o.at.isLatest():
		return at, nil
	case o.before != 0:
		if at, err = before(ctx, found, b.environment, o.before); err != nil {
			return at, err
		}
	default:
		at = o.at.at(time.Now())
	}
	windows, err := b.archive.Windows(ctx)
	if err != nil {
		return at, err
	}
	for _, w := range windows {
		// Of what has just been, the stream may not have said yet that it is there.
		just := w.Live && time.Since(at) < wal.Soon && !at.After(time.Now())
		if !at.Before(w.From) && (!at.After(w.To) || just) {
			return at, nil
		}
	}
	return at, fault.WithHint(fmt.Errorf("%s: %w", at.Local().Format(clock), wal.ErrNoWindow), "%s", reachable(windows))
}

// before is the moment before a revision was deployed.
func before(ctx context.Context, found releases, environment string, number int) (time.Time, error) {
	all, err := found.History(ctx, environment)
	if err != nil {
		return time.Time{}, err
	}
	for _, revision := range all {
		if revision.Number == number {
			return revision.When.Add(-time.Second), nil
		}
	}
	return time.Time{}, fault.WithHint(fault.Usage("%s has no revision %d", environment, number), "berth history %s", environment)
}

// reachable says which moments can be gone back to.
func reachable(windows []wal.Window) string {
	if len(windows) == 0 {
		return "no moment can be reached yet: the first base is still to come"
	}
	var spans []string
	for _, w := range windows {
		spans = append(spans, w.From.Local().Format(clock)+" to "+w.To.Local().Format(clock))
	}
	return "what can be reached: " + strings.Join(spans, "; ")
}
