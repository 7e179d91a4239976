package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/platform"
	"berth/internal/provider"
	"berth/internal/release"
)

type upgradeOptions struct {
	environment  string
	to           int
	serverImage  string
	back, forget bool
}

func (a *app) databaseCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "database upgrade",
		Short: "Upgrade an environment's PostgreSQL to another major version",
		Args: func(command *cobra.Command, args []string) error {
			return fault.WithHint(errors.New("berth database needs a subcommand"), "%s", command.UseLine())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	var o upgradeOptions
	upgrade := &cobra.Command{
		Use:   "upgrade ENV --to VERSION | --back | --forget [--image REF]",
		Short: "Upgrade PostgreSQL to another major version, or return to the old one",
		Long: `Upgrade the PostgreSQL of an environment to another major version.

A server of the new version starts beside the present one. As a rehearsal, a backup
is restored there and compared, table by table, while the application serves. Then
the application is stopped, and the same happens again with the latest data. Then the
new server replaces the old one. Until then the old server serves, whatever happens.
Its volume is kept.

--back returns to the old server, as it was at the upgrade, or at the restore that put a
new server in its place. What was written since stays in the newer server's volume, which is kept in turn. --forget removes the kept
volumes.`,
		Args:              arguments(0, "ENV"),
		ValidArgsFunction: a.environmentNames,
		RunE: func(command *cobra.Command, args []string) error {
			o.environment = args[0]
			return a.databaseUpgrade(command.Context(), o)
		},
	}
	flags := upgrade.Flags()
	flags.IntVar(&o.to, "to", 0, "major version to upgrade to")
	flags.StringVar(&o.serverImage, "image", "", "image of the new server, if berth.yaml names the present one")
	flags.BoolVar(&o.back, "back", false, "return to the server from before the last upgrade or restore")
	flags.BoolVar(&o.forget, "forget", false, "remove the volumes of servers that no longer serve")
	upgrade.DisableFlagsInUseLine = true
	command.AddCommand(upgrade)
	return command
}

func (a *app) databaseUpgrade(ctx context.Context, o upgradeOptions) error {
	given := 0
	for _, is := range []bool{o.to != 0, o.back, o.forget} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return fault.WithHint(fault.Usage("give one of --to VERSION, --back and --forget"), "berth database upgrade %s --to %d", o.environment, config.PostgresVersion+1)
	case !a.yes && !a.console.Interactive:
		return fault.WithHint(fault.Usage("an upgrade asks before it begins, and there is no terminal to ask on"), "--yes continues without asking")
	}
	c, p, err := a.open("", o.environment)
	if err != nil {
		return err
	}
	e := c.Environments[o.environment]
	if e.Database != config.Postgres {
		return fault.Usage("the database of %s is %q: there is no PostgreSQL to upgrade", o.environment, e.Database)
	}
	cluster, found, err := a.connect(ctx, c, p)
	if err != nil {
		return err
	}
	serves, err := found.Database(ctx, o.environment)
	if err != nil {
		return err
	}
	if serves == (release.Server{}) {
		return fault.WithHint(fmt.Errorf("%s has no PostgreSQL yet", o.environment), "berth deploy %s", o.environment)
	}
	u := &upgrading{app: a, upgradeOptions: o, config: c, provider: p, cluster: cluster, found: found, serves: serves}
	switch {
	case o.forget:
		return u.forgetKept(ctx)
	case o.back:
		return u.goBack(ctx)
	}
	return u.upgrade(ctx)
}

// upgrading is what the parts of an upgrade share.
type upgrading struct {
	*app
	upgradeOptions
	config   *config.Config
	provider provider.Provider
	cluster  *provider.Cluster
	found    releases
	// serves is the server that serves when the command begins.
	serves release.Server
}

func (u *upgrading) upgrade(ctx context.Context) error {
	e := u.config.Environments[u.environment]
	if !e.Backup.Enabled() {
		return fault.WithHint(fault.Usage("%s has no backups, and an upgrade needs them", u.environment),
			"give environments.%s.backup a schedule in berth.yaml, and berth deploy %s", u.environment, u.environment)
	}
	if own := ownDatabaseImage(e); own != "" && u.serverImage == "" && u.to != u.serves.Version {
		return fault.WithHint(fault.Usage("berth.yaml names its own image for the database of %s: %s", u.environment, own),
			"name an image of PostgreSQL %d: --image REFERENCE", u.to)
	}
	if u.to < u.serves.Version {
		return fault.WithHint(fault.Usage("%s is on %s, and %d is older", u.environment, u.serves, u.to),
			"to return to the server from before an upgrade: berth database upgrade %s --back", u.environment)
	}
	if err := u.confirm(ctx, "This upgrades the database of %s on cluster %s from %s to %d. A copy is made and compared first, while %s serves.\n"+
		"Then %s is stopped, copied again, and started on the new server. The old one's volume is kept.",
		u.environment, u.cluster.Name, u.serves, u.to, u.environment, u.environment); err != nil {
		return err
	}
	// From here on it is what berth.yaml will have to say.
	e.DatabaseVersion = u.to
	u.config.Environments[u.environment] = e
	if u.serverImage == "" {
		if err := u.databaseImages(ctx, u.config, u.provider, u.cluster, u.environment); err != nil {
			return err
		}
	}
	image, err := u.backupImage(ctx, u.config, u.provider, u.environment)
	if err != nil {
		return err
	}
	job, err := u.parts.backups(u.cluster, u.config, u.environment)
	if err != nil {
		return err
	}
	r := u.console.Reporter()
	var moved *backup.Moved
	move := func(title string) func(context.Context, string) error {
		return func(ctx context.Context, host string) (err error) {
			moved, err = job.Move(ctx, platform.Move{Title: title, Host: host, Image: image}, r)
			if err == nil && !strings.HasPrefix(moved.To, strconv.Itoa(u.to)) {
				err = fmt.Errorf("the new server is PostgreSQL %s, not %d", moved.To, u.to)
			}
			return err
		}
	}
	rehearse := func(ctx context.Context, host string) error {
		if err := move("Rehearse: copy "+u.environment+" and compare")(ctx, host); err != nil {
			return fmt.Errorf("the rehearsal failed, and nothing was changed: %w", err)
		}
		for _, warning := range moved.Warnings {
			r.Note(warning)
		}
		r.Note(fmt.Sprintf("rehearsed: %d tables, %d rows, by backup %s in %.1f s", moved.Tables, moved.Rows, moved.ID, moved.Seconds))
		return nil
	}
	done, err := u.found.UpgradeDatabase(ctx, u.environment, release.Upgrade{
		To: u.to, Image: u.serverImage, Rehearse: rehearse, Move: move("Copy " + u.environment + " and compare"),
	}, r)
	if err != nil {
		return err
	}
	if done.Already {
		u.console.Print("%s is on PostgreSQL %d already", u.environment, u.to)
		return u.backedUpBy(ctx, job, image, false)
	}
	what := ""
	if moved != nil {
		what = fmt.Sprintf(": %d tables, %d rows, compared", moved.Tables, moved.Rows)
	}
	u.console.Print("%s is on PostgreSQL %d%s. Nothing could be written for %.1f s.", u.environment, u.to, what, done.Outage.Seconds())
	u.sayVersion(u.to)
	u.console.Print("The old %s is kept as it was then. To return to it: berth database upgrade %s --back. To remove it: berth database upgrade %s --forget",
		done.From, u.environment, u.environment)
	return u.backedUpBy(ctx, job, image, true)
}

// confirm asks before anything is done.
func (u *upgrading) confirm(ctx context.Context, format string, arguments ...any) error {
	u.console.Print(format, arguments...)
	if u.yes {
		return nil
	}
	sure, err := u.console.Type(ctx, u.environment)
	if err == nil && !sure {
		err = errors.New("nothing was done")
	}
	return err
}

// sayVersion says what berth.yaml has to name, or the next deploy refuses.
func (u *upgrading) sayVersion(version int) {
	lines := fmt.Sprintf("environments.%s.databaseVersion: %d", u.environment, version)
	if u.serverImage != "" {
		lines += fmt.Sprintf(", and environments.%s.values.postgresql.image.reference: %s", u.environment, u.serverImage)
	}
	u.console.Print("Now set this in berth.yaml, because a deploy refuses another version: %s", lines)
}

// backedUpBy schedules the backups of the server that serves now, and makes one: from
// then on, moments of it can be gone back to.
func (u *upgrading) backedUpBy(ctx context.Context, job backups, image string, now bool) error {
	err := u.installBackups(ctx, u.config, u.provider, u.cluster, u.environment, func() (string, error) { return image, nil })
	if err == nil && now {
		_, err = job.Now(ctx, u.console.Reporter())
	}
	if err != nil {
		return fault.WithHint(fmt.Errorf("the database serves, but is not backed up: %w", err), "berth backup now --env %s", u.environment)
	}
	return nil
}

func (u *upgrading) goBack(ctx context.Context) error {
	kept, err := u.found.KeptServers(ctx, u.environment)
	if err != nil {
		return err
	}
	kept = slices.DeleteFunc(kept, func(k release.KeptServer) bool { return k.Unfinished })
	if len(kept) == 0 {
		return fault.Usage("%s keeps no database from before an upgrade or a restore", u.environment)
	}
	to := kept[0]
	if err := u.confirm(ctx, "This puts the old %s, as it was on %s, back in place of %s of %s on cluster %s.\n"+
		"What was written since is not in it. It is backed up first, and stays in the volume of %s.",
		to.Server, to.Since.Local().Format(clock), u.serves, u.environment, u.cluster.Name, u.serves); err != nil {
		return err
	}
	job, err := u.parts.backups(u.cluster, u.config, u.environment)
	if err != nil {
		return err
	}
	r := u.console.Reporter()
	safety, err := job.Safety(ctx, r)
	if err != nil {
		return fmt.Errorf("back up the present database first: %w", err)
	}
	done, err := u.found.DatabaseBack(ctx, u.environment, r)
	if err != nil {
		return err
	}
	u.console.Print("%s is on %s again, as it was on %s. Nothing could be written for %.1f s.", u.environment, done.To, to.Since.Local().Format(clock), done.Outage.Seconds())
	u.console.Print("Later writes are in backup %s, and in the volume of %s, which is kept: berth database upgrade %s --forget removes it.",
		safety, done.From, u.environment)
	if done.To.Version != done.From.Version {
		u.sayVersion(done.To.Version)
	}
	e := u.config.Environments[u.environment]
	e.DatabaseVersion = done.To.Version
	u.config.Environments[u.environment] = e
	image, err := u.backupImage(ctx, u.config, u.provider, u.environment)
	if err != nil {
		return err
	}
	return u.backedUpBy(ctx, job, image, true)
}

func (u *upgrading) forgetKept(ctx context.Context) error {
	kept, err := u.found.KeptServers(ctx, u.environment)
	if err != nil {
		return err
	}
	if len(kept) == 0 {
		return u.console.Print("%s keeps no server except the one that serves", u.environment)
	}
	var names []string
	for _, k := range kept {
		names = append(names, k.String())
	}
	if err := u.confirm(ctx, "This removes %s of %s on cluster %s WITH THE DATA. %s still serves.",
		strings.Join(names, " and "), u.environment, u.cluster.Name, u.serves); err != nil {
		return err
	}
	forgotten, err := u.found.ForgetDatabases(ctx, u.environment, u.console.Reporter())
	if err != nil {
		return err
	}
	return u.console.Print("%s has one server of PostgreSQL now: %d were removed", u.environment, len(forgotten))
}
