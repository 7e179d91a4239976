package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"berth/internal/backup"
	"berth/internal/fault"
	"berth/internal/platform"
	"berth/internal/provider"
	"berth/internal/release"
	"berth/internal/wal"
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

// restoreMoment brings the database as it was at a moment, while the application still
// serves, and then puts it in place.
func (a *app) restoreMoment(ctx context.Context, b *backedUp, o restoring, at time.Time) error {
	what, of := "", at
	if at.IsZero() {
		last, err := b.archive.Reaches(ctx)
		if err != nil {
			return err
		}
		what, of = "the last moment that its log has, ", last
	}
	what += of.Local().Format(clock) + ", " + since(of, time.Now()) + " ago"
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
