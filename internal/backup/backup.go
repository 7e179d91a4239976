// Package backup keeps dumps of a PostgreSQL database, or copies of a SQLite
// one, in an S3 bucket, and counts one only when it has been restored.
//
// [Job.Run] streams pg_dump through zstd, and age where a recipient is named,
// into the bucket in parallel parts; nothing touches a disk. What passes is read
// on the way ([scanner]): rows and a checksum for each table go into the
// [Manifest], which is written last, so that a dump without one never counts.
// [Job.Verify] restores a dump into a PostgreSQL of its own and reads that
// one's dump in the same way. [Job.Restore] does so in the live server, beside
// the database, and then swaps the two names in one transaction. pg_dump's own
// archives (archive.go) pass through pg_restore to be read in the same way, and a
// SQLite database (file.go) is copied, checked and replaced by SQLite.
//
// The objects of one backup in the bucket, below the prefix:
//
//	<id>.sql.zst[.age]          the dump; .dump if it is an archive, .sqlite
//	<id>.globals.sql.zst[.age]  roles and tablespaces, without passwords
//	<id>.manifest.json          what they hold
//	<id>.verified.json          what restoring them gave
package backup

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"time"

	"filippo.io/age"

	"berth/internal/bucket"
)

// Version is the version of the tool, which manifests name.
var Version = "dev"

// A Job is a bucket, the database that is backed up into it, and how.
type Job struct {
	Bucket *bucket.Bucket
	// Database is nil where only the bucket is used, and for SQLite.
	Database *Database
	// Format is what dumps of Database are made in; empty stands for Plain.
	Format Format
	// File is the path of a SQLite database, which is backed up instead.
	File string
	// Moment is which one Database is of, where it is not the one that serves.
	Moment time.Time
	// Engine reads backups of SQLite; nil where there are none.
	Engine Engine
	// Recipients can decrypt the dumps; without any they are not encrypted.
	Recipients []age.Recipient
	// RecipientNames are the same for people to read.
	RecipientNames []string
	// Identities decrypt dumps.
	Identities []age.Identity
	// Scratch is the folder for the PostgreSQL of Verify; empty takes TMPDIR.
	Scratch string
	// Bin is the folder of PostgreSQL's programs; empty finds the fitting one.
	Bin string
	Log *slog.Logger
	// Hints are what a person is told to do.
	Hints Hints
	// Now is the clock; tests move it.
	Now func() time.Time
}

// Hints are commands that errors suggest to the job's user.
type Hints struct {
	// List shows what backups there are, Run makes one.
	List, Run string
}

// Name is the database's name.
func (j *Job) Name() string {
	if j.File != "" {
		return filepath.Base(j.File)
	}
	return j.Database.Name()
}

var (
	// ErrDamaged is in the chain of errors that say that what is in the bucket
	// is not what was put there, or does not restore to it.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrDoesNotLoad is in the chain of those of a dump that PostgreSQL refuses.
	ErrDoesNotLoad = fmt.Errorf("%w: does not load", ErrDamaged)
	// ErrUnsound is in the chain when a SQLite database is not in order.
	ErrUnsound = errors.New("the database is not sound")
	// ErrBusy is in the chain when another run holds the database.
	ErrBusy = errors.New("another backup or restore of this database is running")
	// ErrNone is in the chain when there is no such backup.
	ErrNone = errors.New("no such backup")
)

// IDs are times in UTC, so that names sort by age, and four random digits: two
// machines may begin in the same second. They fit into names of databases.
var validID = regexp.MustCompile(`^\d{8}_\d{6}_[0-9a-f]{4}$`)

// NewID returns the ID of a backup that is made now.
func NewID(now time.Time) string {
	random := make([]byte, 2)
	_, _ = rand.Read(random) // never fails, says its documentation
	return now.UTC().Format("20060102_150405") + "_" + hex.EncodeToString(random)
}
