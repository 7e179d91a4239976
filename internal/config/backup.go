package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Backup says when an environment's database is backed up into the bucket, and
// how long a backup is kept.
type Backup struct {
	// Schedule is a cron expression of five fields, in UTC, or [Never], which
	// is also what an empty one means.
	Schedule string `yaml:"schedule"`
	// Keep is how many backups stay.
	Keep Keep `yaml:"keep"`
	// Format of PostgreSQL's dumps: plain, which is the default, or custom.
	Format string `yaml:"format"`
	// Continuous says whether the write-ahead log goes there as it is written; nil
	// stands for no.
	Continuous *bool `yaml:"continuous"`
	// Recipients are age public keys. With any, backups are encrypted.
	Recipients []string `yaml:"recipients"`
}

// Keep counts the backups that stay: the last ones, and the newest of as many
// days, weeks and months.
type Keep struct {
	Last    int `yaml:"last"`
	Daily   int `yaml:"daily"`
	Weekly  int `yaml:"weekly"`
	Monthly int `yaml:"monthly"`
}

// Never is the schedule of a database that is not backed up.
const Never = "never"

// The names in .env of what a backup may need besides the bucket's keys.
const (
	// BackupWebhook is told of failures, as JSON that Slack reads.
	BackupWebhook = "BACKUP_WEBHOOK_URL"
	// BackupIdentity is the age private key that decrypts backups.
	BackupIdentity = "BACKUP_AGE_IDENTITY"
)

// setDefaults backs PostgreSQL up daily and continuously, and nothing else unless it
// is asked for.
func (b *Backup) setDefaults(d Database) {
	if d == Postgres {
		fill(&b.Schedule, "17 3 * * *")
	}
	if d == Postgres && b.Enabled() && b.Continuous == nil {
		continuous := true
		b.Continuous = &continuous
	}
	if b.Enabled() && b.Keep == (Keep{}) {
		b.Keep = Keep{Last: 7, Daily: 14, Weekly: 8, Monthly: 12}
	}
}

// Enabled reports whether there are backups.
func (b Backup) Enabled() bool { return b.Schedule != "" && b.Schedule != Never }

// Streams reports whether the write-ahead log is backed up continuously.
func (b Backup) Streams() bool { return b.Enabled() && b.Continuous != nil && *b.Continuous }

// Due returns when the next backup is to begin after one at the time given.
func (b Backup) Due(after time.Time) (time.Time, error) {
	schedule, err := cron.ParseStandard(b.Schedule)
	if err != nil {
		return time.Time{}, err
	}
	return schedule.Next(after.UTC()), nil
}

func (c *Config) validateBackup(m *mistakes, at string, e Environment) {
	b := e.Backup
	if e.Rehearse && !b.Enabled() {
		m.add(strings.TrimSuffix(at, ".backup")+".rehearse", "needs a backup to make a copy of: set backup.schedule")
	}
	if b.Continuous != nil && *b.Continuous {
		switch {
		case e.Database != Postgres:
			m.add(at+".continuous", "is for the database %s, whose write-ahead log it keeps; this one is %q", Postgres, e.Database)
		case !b.Enabled():
			m.add(at+".continuous", "needs a schedule: it is when a base is made")
		}
	}
	if !b.Enabled() {
		return
	}
	if e.Database == NoDatabase {
		m.add(at+".schedule", "must be %s where there is no database", Never)
	}
	if problem := notASchedule(b.Schedule); problem != "" {
		m.add(at+".schedule", "must be five fields of cron like \"17 3 * * *\", in UTC, or %s; %s", Never, problem)
	}
	for _, count := range []struct {
		name  string
		value int
	}{{"last", b.Keep.Last}, {"daily", b.Keep.Daily}, {"weekly", b.Keep.Weekly}, {"monthly", b.Keep.Monthly}} {
		if count.value < 0 {
			m.add(at+".keep."+count.name, "must be 0 or more; it is %d", count.value)
		}
	}
	if b.Format != "" && b.Format != "plain" && b.Format != "custom" {
		m.add(at+".format", "must be plain or custom; it is %q", b.Format)
	}
	for i, recipient := range b.Recipients {
		if !strings.HasPrefix(recipient, "age1") || strings.ContainsAny(recipient, " \t\n") {
			m.add(at+".recipients["+strconv.Itoa(i)+"]", "must be an age public key, age1…; it is %q", recipient)
		}
	}
}
