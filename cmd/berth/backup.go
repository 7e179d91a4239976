package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
	"berth/internal/source"
)

type backupOptions struct {
	environment, id string
	json            bool
	output          string
	noSafetyBackup  bool
}

func (a *app) backupCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "backup now|list|verify|restore|get",
		Short: "Back a database up, restore it, and see what there is",
		Long: `Back an environment's database up into the bucket, outside of its schedule, see
what backups there are, and bring one back. The schedule is in berth.yaml.

A backup counts when it has been restored once: "now" and the schedule do so,
into a server of their own.`,
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
			Use: "now", Short: "Make a backup at once, and verify it", Args: arguments(0),
			RunE: func(command *cobra.Command, _ []string) error { return a.backupNow(command.Context(), o) },
		},
		{
			Use: "list", Short: "List the backups, the newest first", Args: arguments(0),
			RunE: func(command *cobra.Command, _ []string) error { return a.backupList(command.Context(), o) },
		},
		{
			Use: "verify [ID]", Short: "Restore a backup into a server of its own and compare", Args: arguments(1, "ID"),
			RunE: func(command *cobra.Command, args []string) error {
				return a.backupVerify(command.Context(), o.of(args))
			},
		},
		{
			Use: "restore [ID]", Short: "Bring a backup back in place of the environment's database",
			Long: `Bring a backup back in place of the environment's database, the newest one
unless ID names another. What is there is backed up first; then the application
is stopped, so that nobody writes, until the restored database serves. The one
that was there before is kept beside it under another name.`,
			Args: arguments(1, "ID"),
			RunE: func(command *cobra.Command, args []string) error {
				return a.backupRestore(command.Context(), o.of(args))
			},
		},
		{
			Use: "get [ID]", Short: "Download a backup as SQL", Args: arguments(1, "ID"),
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
			flags.BoolVar(&o.noSafetyBackup, "no-safety-backup", false, "make no backup of what is there now")
		case "get":
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

// backedUp is an environment with backups, and the way to the bucket they are
// in. Reading them takes no cluster.
type backedUp struct {
	config      *config.Config
	provider    provider.Provider
	environment string
	archive     archive
}

// openBackups finds the environment that is meant.
func (a *app) openBackups(ctx context.Context, environment string) (*backedUp, error) {
	var named []string
	if environment != "" {
		named = []string{environment}
	}
	c, p, err := a.open("", named...)
	if err != nil {
		return nil, err
	}
	candidates := environmentsWithBackups(c)
	switch {
	case environment != "" && !c.Environments[environment].Backup.Enabled():
		return nil, fault.WithHint(fault.Usage("%s has no backups", environment),
			"give environments.%s.backup a schedule in berth.yaml", environment)
	case environment != "":
	case len(candidates) == 0:
		return nil, fault.WithHint(fault.Usage("no environment has backups"),
			"give one a database of postgres, or a backup.schedule, in berth.yaml")
	case len(candidates) > 1:
		return nil, fault.WithHint(fault.Usage("several environments have backups: %s", strings.Join(candidates, ", ")),
			"say which: --env %s", candidates[len(candidates)-1])
	default:
		environment = candidates[0]
	}
	found, err := a.archiveOf(ctx, c, p, environment)
	if err != nil {
		return nil, err
	}
	return &backedUp{c, p, environment, found}, nil
}

func (a *app) archiveOf(ctx context.Context, c *config.Config, p provider.Provider, environment string) (archive, error) {
	bucket, err := p.Bucket(ctx)
	if err != nil {
		return nil, err
	}
	return a.parts.archive(bucket, c, environment)
}

func environmentsWithBackups(c *config.Config) []string {
	var names []string
	for _, name := range c.EnvironmentNames() {
		if c.Environments[name].Backup.Enabled() {
			names = append(names, name)
		}
	}
	return names
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
	if err := a.console.Print("%s is backed up as %s: %d rows, %s, %s", b.environment, entry.ID, entry.Rows(), bytesOf(entry.Dump.Bytes), entry.State()); err != nil {
		return err
	}
	return a.printWarnings(entry)
}

// printWarnings says what a backup does not hold.
func (a *app) printWarnings(entry *backup.Entry) error {
	for _, warning := range entry.Warnings {
		if err := a.console.Print("Note: %s", warning); err != nil {
			return err
		}
	}
	return nil
}

// connectBackups opens the cluster that the backups are of.
func (a *app) connectBackups(ctx context.Context, b *backedUp) (*provider.Cluster, releases, backups, error) {
	cluster, found, err := a.connect(ctx, b.config, b.provider)
	if err != nil {
		return nil, nil, nil, err
	}
	job, err := a.parts.backups(cluster, b.config, b.environment)
	return cluster, found, job, err
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
			strconv.FormatInt(entry.Rows(), 10), bytesOf(entry.Dump.Bytes), entry.State(),
		})
	}
	a.console.Table([]string{" ", "ID", "MADE", "ROWS", "SIZE", "STATE"}, rows)
	for _, entry := range entries {
		if entry.Problem != "" {
			a.console.Print("%s", entry.Problem)
		}
	}
	return nil
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

func (a *app) backupRestore(ctx context.Context, o backupOptions) error {
	if !a.yes && !a.console.Interactive {
		return fault.WithHint(
			fault.Usage("restore asks before it puts a backup in place of the database, and there is no terminal to ask on"),
			"berth backup restore --yes restores without asking")
	}
	b, err := a.openBackups(ctx, o.environment)
	if err != nil {
		return err
	}
	entry, err := b.archive.Find(ctx, o.id)
	if err != nil {
		return err
	}
	if entry.Damaged() {
		return fmt.Errorf("%s is damaged and cannot be restored: %s", entry.ID, entry.Verified.Problem)
	}
	cluster, found, job, err := a.connectBackups(ctx, b)
	if err != nil {
		return err
	}
	a.console.Print("This puts backup %s of database %s (made on %s, %s ago, %d rows, %s) in place of the database of %s on cluster %s.\n"+
		"%s is stopped meanwhile. What is there now is backed up first, and kept under another name.",
		entry.ID, entry.Database.Name, entry.Started.Local().Format(time.DateTime), since(entry.Started, time.Now()), entry.Rows(), entry.State(),
		b.environment, cluster.Name, b.environment)
	if err := a.printWarnings(entry); err != nil {
		return err
	}
	if !a.yes {
		sure, err := a.console.Type(ctx, b.environment)
		if err != nil {
			return err
		}
		if !sure {
			return errors.New("nothing was restored")
		}
	}
	r := a.console.Reporter()
	safety := ""
	if !o.noSafetyBackup {
		if safety, err = job.Safety(ctx, r); err != nil {
			return fault.WithHint(fmt.Errorf("back up what is there first: %w", err),
				"nothing was changed. When it cannot be backed up any more: berth backup restore --no-safety-backup %s", entry.ID)
		}
	}
	var restored *backup.Restored
	outage, err := found.Pause(ctx, b.environment, r, func(ctx context.Context) (err error) {
		restored, err = job.Restore(ctx, entry.ID, r)
		return err
	})
	if err != nil {
		return err
	}
	a.console.Print("%s serves what was backed up on %s: %d rows. Writes were out for %.1f s.",
		b.environment, entry.Started.Local().Format(time.DateTime), restored.Rows, outage.Seconds())
	if safety != "" {
		a.console.Print("What was there before is backup %s, and stays as %s beside it.", safety, restored.Kept)
		return nil
	}
	return a.console.Print("What was there before stays as %s beside it.", restored.Kept)
}

func (a *app) backupGet(ctx context.Context, o backupOptions) error {
	b, err := a.openBackups(ctx, o.environment)
	if err != nil {
		return err
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

// installBackups schedules the backups of an environment that has been
// deployed, or takes the schedule away where there shall be none.
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
		r.Note(environment + " has no backups, as there is no bucket: " + fault.Hint(err))
		return nil
	}
	if err != nil {
		return err
	}
	reference, err := image()
	if err != nil {
		return err
	}
	since, err := job.Installed(ctx)
	if err != nil {
		return err
	}
	if err := job.Install(ctx, bucket, reference, r); err != nil || !since.IsZero() {
		return err
	}
	// They are new here: what would keep them from being made is said now.
	return job.Check(ctx, r)
}

// platformImage returns one of the platform's images: the one that berth.yaml
// names, or one built from berth's source.
func (a *app) platformImage(ctx context.Context, c *config.Config, p provider.Provider, name string) (string, error) {
	if reference := c.Images[name]; reference != "" {
		return reference, nil
	}
	root, err := source.Root()
	if err != nil {
		return "", fault.WithHint(err, "compile it by make bin/berth, which packs the source in, or name a built image in berth.yaml: images.%s", name)
	}
	return p.Publish(ctx, provider.Build{
		Name: name, Dockerfile: filepath.Join(root, "images", name, "Dockerfile"), Context: root,
	}, a.console.Reporter())
}

// bytesOf writes a size for people.
func bytesOf(n int64) string {
	value, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	for value >= 1000 && len(units) > 1 {
		value, units = value/1000, units[1:]
	}
	if units[0] == "B" || value >= 100 {
		return fmt.Sprintf("%.0f %s", value, units[0])
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
