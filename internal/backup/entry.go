package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/internal/bucket"
	"berth/internal/fault"
)

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

// OK reports whether the backup has been restored and found equal.
func (e Entry) OK() bool { return e.Verified != nil && e.Verified.OK }

// Damaged reports whether it has been found not to be, or cannot be read.
func (e Entry) Damaged() bool { return e.Unreadable || e.Verified != nil && !e.Verified.OK }

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
