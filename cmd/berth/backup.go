package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
)

type backupOptions struct {
	environment, id string
	json            bool
	output          string
	noSafetyBackup  bool
	from            string
	at              goal
	before          int
	list            bool
	// wholeServer says how a moment is brought back, if asked says that the user did.
	wholeServer, asked bool
}

func (a *app) backupCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "backup now|list|verify|restore|get",
		Short: "Back a database up, restore it, and list its backups",
		Long: `Back up an environment's database into the bucket outside of its schedule, list
its backups, and restore one. The schedule is in berth.yaml.

A backup counts once it has been restored. "now" and scheduled backups are
restored into a separate server and compared.`,
		Args: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fault.WithHint(fmt.Errorf("berth backup takes no argument %q", args[0]), "%s", command.UseLine())
			}
			return fault.WithHint(errors.New("berth backup needs a subcommand"), "%s", command.UseLine())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	var o backupOptions
	for _, sub := range []*cobra.Command{
		{
			Use: "now [--json]", Short: "Make a backup at once, and verify it", Args: arguments(0),
			RunE: func(command *cobra.Command, _ []string) error { return a.backupNow(command.Context(), o) },
		},
		{
			Use: "list [--json]", Short: "List the backups, newest first", Args: arguments(0),
			RunE: func(command *cobra.Command, _ []string) error { return a.backupList(command.Context(), o) },
		},
		{
			Use: "verify [ID]", Short: "Restore a backup into a separate server and compare", Args: arguments(1, "ID"),
			RunE: func(command *cobra.Command, args []string) error {
				return a.backupVerify(command.Context(), o.of(args))
			},
		},
		{
			Use: "restore [ID | --at TIME | --before REVISION] [--no-safety-backup] [--from NAME] [--whole-server]", Short: "Replace the environment's database by a backup",
			Long: `Replace the environment's database by backup ID, or by the newest one. First the
present database is backed up. Then the application is stopped, so that nobody
writes, until the restored database serves. The old database is kept beside it
under another name.

--at restores the database as it was at a moment: "14:03", in local time unless it
names a zone; 5m, which is five minutes ago; or latest, the last moment there is,
after the server was lost. --before restores it as it was before a revision was
deployed. --list shows which moments there are. A database of more than 5 GB is not
dumped and loaded for that: a new server starts on the files of then, in place of the
present one, whose volume is kept. --whole-server=true or =false chooses.`,
			Args: arguments(1, "ID"),
			RunE: func(command *cobra.Command, args []string) error {
				o.asked = command.Flags().Changed("whole-server")
				return a.backupRestore(command.Context(), o.of(args))
			},
		},
		{
			Use: "get [ID | --at TIME] [-o FILE]", Short: "Download a backup as SQL", Args: arguments(1, "ID"),
			RunE: func(command *cobra.Command, args []string) error {
				return a.backupGet(command.Context(), o.of(args))
			},
		},
	} {
		flags := sub.Flags()
		flags.StringVar(&o.environment, "env", "", "environment (default: the one that has backups)")
		switch sub.Name() {
		case "now", "list":
			flags.BoolVar(&o.json, "json", false, "write it as JSON")
		case "restore":
			flags.BoolVar(&o.noSafetyBackup, "no-safety-backup", false, "make no backup of the present database")
			flags.StringVar(&o.from, "from", "", "name of the backed-up database, if it differs")
			flags.Var(&o.at, "at", "moment to restore: 14:03, 5m or latest")
			flags.IntVar(&o.before, "before", 0, "restore the moment before this revision")
			flags.BoolVar(&o.wholeServer, "whole-server", false, "restore a moment as a new server, without dump and load (default: from 5 GB on)")
			flags.BoolVar(&o.list, "list", false, "list the moments that can be restored")
		case "get":
			flags.Var(&o.at, "at", "moment to download: 14:03, 5m or latest")
			flags.StringVarP(&o.output, "output", "o", "", "file to write (default: ID.sql; - writes to standard output)")
		}
		sub.DisableFlagsInUseLine = true
		command.AddCommand(sub)
	}
	return command
}

func (o backupOptions) of(args []string) backupOptions {
	if len(args) > 0 {
		o.id = args[0]
	}
	return o
}

func (a *app) backupNow(ctx context.Context, o backupOptions) error {
	b, err := a.openBackups(ctx, o.environment)
	if err != nil {
		return err
	}
	_, _, job, err := a.connectBackups(ctx, b)
	if err != nil {
		return err
	}
	id, err := job.Now(ctx, a.console.Reporter())
	if err != nil {
		return err
	}
	entry, err := b.archive.Find(ctx, id)
	if err != nil {
		return err
	}
	if o.json {
		return a.console.JSON(entry)
	}
	if err := a.console.Print("%s is backed up as %s: %d rows, %s, %s", b.environment, entry.ID, entry.Rows(), humanize.Bytes(uint64(max(0, entry.Dump.Bytes))), entry.State()); err != nil {
		return err
	}
	return a.printWarnings(entry)
}

func (a *app) backupList(ctx context.Context, o backupOptions) error {
	b, err := a.openBackups(ctx, o.environment)
	if err != nil {
		return err
	}
	entries, err := b.archive.List(ctx)
	if err != nil {
		return err
	}
	if o.json {
		return a.console.JSON(entries)
	}
	var rows [][]string
	for _, entry := range entries {
		rows = append(rows, []string{
			mark(!entry.Damaged()), entry.ID, entry.Started.Local().Format(time.DateTime),
			strconv.FormatInt(entry.Rows(), 10), humanize.Bytes(uint64(max(0, entry.Dump.Bytes))), stateOf(entry),
		})
	}
	a.console.Table([]string{" ", "ID", "MADE", "ROWS", "SIZE", "STATE"}, rows)
	for _, entry := range entries {
		if entry.Problem != "" {
			a.console.Print("%s", entry.Problem)
		}
	}
	if !b.config.Environments[b.environment].Backup.Streams() {
		return nil
	}
	a.console.Print("")
	return a.backupWindows(ctx, b)
}

// stateOf says what is known of a backup.
func stateOf(e backup.Entry) string {
	if e.Moment.IsZero() {
		return e.State()
	}
	return e.State() + ", as of " + e.Moment.Local().Format(time.DateTime)
}

func (a *app) backupVerify(ctx context.Context, o backupOptions) error {
	b, err := a.openBackups(ctx, o.environment)
	if err != nil {
		return err
	}
	entry, err := b.archive.Latest(ctx, o.id)
	if err != nil {
		return err
	}
	_, _, job, err := a.connectBackups(ctx, b)
	if err != nil {
		return err
	}
	if err := job.Verify(ctx, entry.ID, a.console.Reporter()); err != nil {
		return err
	}
	return a.console.Print("%s was restored and is what was backed up: %d rows", entry.ID, entry.Rows())
}

// installBackups schedules the backups of an environment that has been
// deployed, or takes the schedule away where there should be none.
func (a *app) installBackups(ctx context.Context, c *config.Config, p provider.Provider, cluster *provider.Cluster, environment string, image func() (string, error)) error {
	job, err := a.parts.backups(cluster, c, environment)
	if err != nil {
		return err
	}
	r := a.console.Reporter()
	if !c.Environments[environment].Backup.Enabled() {
		return job.Remove(ctx, r)
	}
	bucket, err := p.Bucket(ctx)
	if errors.Is(err, provider.ErrNoBucket) {
		r.Note(environment + " has no backups, because there is no bucket: " + fault.Hint(err))
		return nil
	}
	if err != nil {
		return err
	}
	reference, err := image()
	if err != nil {
		return err
	}
	if err := job.Install(ctx, bucket, reference, r); err != nil {
		return err
	}
	checked, err := job.Checked(ctx)
	if err != nil || checked {
		return err
	}
	// They are new here, or failed: what would keep them from being made is said now.
	return job.Check(ctx, r)
}
