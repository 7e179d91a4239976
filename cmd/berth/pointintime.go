package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"berth/internal/fault"
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
