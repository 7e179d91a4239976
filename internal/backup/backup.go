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
// archives (format.go) pass through pg_restore to be read in the same way, and a
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
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"berth/internal/bucket"
	"berth/internal/fault"
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

// An Entry is one backup in the bucket: its manifest and, once it has been
// verified, what that gave.
type Entry struct {
	Manifest
	Verified *Verification `json:"verified,omitempty"`
	// Problem is what is wrong with what the bucket says of it: a manifest that
	// cannot be read, or a verification. Then nothing else is known of that.
	Problem string `json:"problem,omitempty"`
	// Unreadable says that it is the manifest.
	Unreadable bool `json:"unreadable,omitempty"`
}

// OK reports whether the backup has been restored and found equal.
func (e Entry) OK() bool { return e.Verified != nil && e.Verified.OK }

// Damaged reports whether it has been found not to be, or cannot be read.
func (e Entry) Damaged() bool { return e.Unreadable || e.Verified != nil && !e.Verified.OK }

// List returns the backups, the newest first. What cannot be read of one is named in
// its entry, and is no error.
func (j *Job) List(ctx context.Context) ([]Entry, error) {
	objects, err := j.list(ctx)
	if err != nil {
		return nil, err
	}
	verified, listed := map[string]bool{}, map[string]bool{}
	for _, o := range objects {
		listed[o.Name] = true
		if id, ok := strings.CutSuffix(o.Name, ".verified.json"); ok {
			verified[id] = true
		}
	}
	var mu sync.Mutex
	entries := []Entry{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8) // A bucket is far away, and there may be a hundred.
	for _, o := range objects {
		id, ok := strings.CutSuffix(o.Name, ".manifest.json")
		if !ok || !validID.MatchString(id) {
			continue
		}
		group.Go(func() error {
			entry, err := j.entry(ctx, id, verified[id])
			if errors.Is(err, ErrNone) {
				return nil // pruned since it was listed
			}
			if errors.Is(err, ErrDamaged) {
				entry, err = unreadable(id, err), nil
			}
			if err != nil {
				return err
			}
			if !entry.Unreadable && !listed[entry.Dump.Name] {
				if err := j.missed(ctx, entry); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			entries = append(entries, *entry)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.ID, a.ID)) })
	return entries, nil
}

// missed marks a backup as damaged whose dump was not listed, and is not there: somebody
// or a lifecycle rule has removed it. Nothing may count on it any more.
func (j *Job) missed(ctx context.Context, e *Entry) error {
	_, err := j.Bucket.Stat(ctx, e.Dump.Name)
	if !errors.Is(err, bucket.ErrNotFound) {
		return err
	}
	e.Problem = fmt.Sprintf("backup %s: its dump %s is not in the bucket any more", e.ID, e.Dump.Name)
	e.Verified = &Verification{ID: e.ID, Problem: e.Problem}
	return nil
}

// unreadable stands for a backup whose manifest is no manifest.
func unreadable(id string, err error) *Entry {
	started, _ := time.Parse("20060102_150405", id[:15]) // 0 sorts last
	return &Entry{Manifest: Manifest{ID: id, Started: started}, Problem: err.Error(), Unreadable: true}
}

// Find returns the backup of that ID; without an ID, the newest that has been
// verified, or else the newest that is not known to be damaged. Where the job has a
// database, only its own backups are meant then.
func (j *Job) Find(ctx context.Context, id string) (*Entry, error) {
	return j.find(ctx, id, Entry.OK, func(e Entry) bool { return !e.Damaged() })
}

// Latest returns the same as Find, but without an ID the newest backup that is not
// known to be damaged.
func (j *Job) Latest(ctx context.Context, id string) (*Entry, error) {
	return j.find(ctx, id, func(e Entry) bool { return !e.Damaged() })
}

func (j *Job) find(ctx context.Context, id string, wanted ...func(Entry) bool) (*Entry, error) {
	if id != "" {
		if !validID.MatchString(id) {
			return nil, fault.Usage("%q is not the ID of a backup: that looks like 20060102_150405_0a1b", id)
		}
		entry, err := j.entry(ctx, id, true)
		if !errors.Is(err, ErrNone) {
			return entry, err
		}
		return nil, fault.WithHint(err, "see what there is with: %s", j.Hints.List)
	}
	entries, err := j.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, good := range wanted {
		for _, entry := range entries {
			// Who means a moment names it.
			if good(entry) && j.owns(entry) && entry.Moment.IsZero() {
				return &entry, nil
			}
		}
	}
	return nil, fault.WithHint(fmt.Errorf("find the newest backup: %w", ErrNone), "make one with: %s", j.Hints.Run)
}

// owns reports whether a backup is of the job's database, as far as the job has one.
// A file of SQLite may be called otherwise: it is its volume's, and nobody else's.
func (j *Job) owns(e Entry) bool {
	return j.File != "" || j.Database == nil || e.Format == SQLite || e.Database.Name == j.Name()
}

func (j *Job) entry(ctx context.Context, id string, verified bool) (*Entry, error) {
	entry := &Entry{}
	if err := j.GetJSON(ctx, id+".manifest.json", &entry.Manifest); err != nil {
		return nil, fmt.Errorf("backup %s: %w", id, err)
	}
	if err := entry.Manifest.validate(id); err != nil {
		return nil, fmt.Errorf("backup %s: manifest: %w", id, err)
	}
	if !verified {
		return entry, nil
	}
	var v Verification
	err := j.GetJSON(ctx, id+".verified.json", &v)
	if errors.Is(err, ErrNone) {
		return entry, nil
	}
	if errors.Is(err, ErrDamaged) {
		entry.Problem = err.Error()
		return entry, nil // It counts as not verified.
	}
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", id, err)
	}
	entry.Verified = &v
	return entry, nil
}

// State is the state of the backup in a word.
func (e Entry) State() string {
	switch {
	case e.OK():
		return "verified"
	case e.Unreadable:
		return "unreadable"
	case e.Damaged() && e.Verified.DoesNotLoad:
		return "damaged: does not load"
	case e.Damaged():
		return "damaged"
	}
	return "unverified"
}
