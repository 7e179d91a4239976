package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"berth/internal/backup"
	"berth/internal/fault"
	"berth/internal/provider"
)

func (a *app) backupRestore(ctx context.Context, o backupOptions) error {
	if !a.yes && !a.console.Interactive && !o.list {
		return fault.WithHint(
			fault.Usage("restore asks before it replaces the database, and there is no terminal to ask on"),
			"berth backup restore --yes restores without asking")
	}
	b, err := a.openBackups(ctx, o.environment)
	if err != nil {
		return err
	}
	if o.list {
		return a.backupWindows(ctx, b)
	}
	cluster, found, job, err := a.connectBackups(ctx, b)
	if err != nil {
		return err
	}
	if o.at.moment != "" || o.before != 0 {
		at, err := a.momentOf(ctx, b, found, o)
		if err != nil {
			return err
		}
		return a.restoreMoment(ctx, b, restoring{o, cluster, found, job}, at)
	}
	if o.asked {
		return fault.Usage("--whole-server says how a moment is restored: name one with --at or --before")
	}
	entry, err := b.archive.Find(ctx, o.id)
	if err != nil {
		return err
	}
	if entry.Damaged() {
		return fmt.Errorf("%s is damaged and cannot be restored: %s", entry.ID, entry.Verified.Problem)
	}
	a.console.Print("This restores backup %s of database %s (made on %s, %s ago, %d rows, %s) over the database of %s on cluster %s.\n"+
		"%s is stopped meanwhile. What is there now is %skept under another name.",
		entry.ID, entry.Database.Name, entry.Started.Local().Format(time.DateTime), since(entry.Started, time.Now()), entry.Rows(), entry.State(),
		b.environment, cluster.Name, b.environment, o.first())
	if err := a.printWarnings(entry); err != nil {
		return err
	}
	if err := a.confirmRestore(ctx, b.environment); err != nil {
		return err
	}
	return a.restoreEntry(ctx, b, restoring{o, cluster, found, job}, entry)
}

// first says what is done with what is there before it is kept.
func (o backupOptions) first() string {
	if o.noSafetyBackup {
		return ""
	}
	return "backed up first, and "
}

// confirmRestore asks before anything is done.
func (a *app) confirmRestore(ctx context.Context, environment string) error {
	if a.yes {
		return nil
	}
	sure, err := a.console.Type(ctx, environment)
	if err == nil && !sure {
		err = errors.New("nothing was restored")
	}
	return err
}

// restoring is what a restore works with.
type restoring struct {
	backupOptions
	cluster *provider.Cluster
	found   releases
	job     backups
}

// restoreEntry puts a backup in place of the database.
func (a *app) restoreEntry(ctx context.Context, b *backedUp, o restoring, entry *backup.Entry) error {
	r := a.console.Reporter()
	safety := ""
	if !o.noSafetyBackup {
		var err error
		if safety, err = o.job.Safety(ctx, r); err != nil {
			return fault.WithHint(fmt.Errorf("back up the present database first: %w", err),
				"nothing was changed. If the database cannot be backed up any more: berth backup restore --no-safety-backup %s", entry.ID)
		}
	}
	var restored *backup.Restored
	outage, err := o.found.Pause(ctx, b.environment, r, func(ctx context.Context) (err error) {
		restored, err = o.job.Restore(ctx, entry.ID, o.from, r)
		return err
	})
	if err != nil {
		return err
	}
	what := "backed up"
	if !entry.Moment.IsZero() {
		what = "there"
	}
	a.console.Print("%s serves what was %s on %s: %d rows. Nothing could be written for %.1f s.",
		b.environment, what, entry.Of().Local().Format(time.DateTime), restored.Rows, outage.Seconds())
	if safety != "" {
		a.console.Print("The old data is in backup %s, and stays as database %s beside it.", safety, restored.Kept)
		return nil
	}
	return a.console.Print("The old database stays as %s beside it.", restored.Kept)
}

func (a *app) backupGet(ctx context.Context, o backupOptions) error {
	b, err := a.openBackups(ctx, o.environment)
	if err != nil {
		return err
	}
	if o.at.moment != "" {
		if o.id, err = a.getMoment(ctx, b, o); err != nil {
			return err
		}
	}
	entry, err := b.archive.Find(ctx, o.id)
	if err != nil {
		return err
	}
	if o.output == "-" {
		return b.archive.Get(ctx, entry.ID, a.streams.Out)
	}
	if o.output == "" {
		o.output = entry.ID + ".sql"
	}
	if _, err := os.Stat(o.output); err == nil {
		return fault.WithHint(fault.Usage("%s exists already", o.output), "name another file with --output")
	}
	if err := b.archive.GetFile(ctx, entry.ID, o.output); err != nil {
		return err
	}
	return a.console.Print("%s holds backup %s of %s", o.output, entry.ID, entry.Database.Name)
}
