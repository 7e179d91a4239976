package backup

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"berth/internal/fault"
)

// Retention says how many backups stay: the last ones, and the newest of each
// of the last days, weeks (ISO 8601) and months (all in UTC) that have any.
type Retention struct {
	Last, Daily, Weekly, Monthly int
}

// keep returns the IDs of entries, newest first, that stay. Damaged backups
// take nobody's place. Whatever the numbers, the newest verified backup of a
// database stays, and all that are newer than it.
func (r Retention) keep(entries []Entry) map[string]bool {
	kept := map[string]bool{}
	type state struct {
		last                int
		days, weeks, months map[string]bool
		// sheltered until the newest verified backup has been passed.
		sheltered bool
	}
	databases := map[string]*state{}
	for _, entry := range entries {
		d := databases[entry.Database.Name]
		if d == nil {
			d = &state{days: map[string]bool{}, weeks: map[string]bool{}, months: map[string]bool{}}
			databases[entry.Database.Name] = d
		}
		// Without any verified backup only the numbers count.
		d.sheltered = d.sheltered || entry.OK()
	}
	for _, entry := range entries {
		d := databases[entry.Database.Name]
		if d.sheltered {
			kept[entry.ID] = true
			d.sheltered = !entry.OK()
		}
		if entry.Damaged() {
			continue
		}
		if d.last < r.Last {
			kept[entry.ID] = true
		}
		d.last++
		for _, period := range []struct {
			seen  map[string]bool
			count int
			name  string
		}{
			{d.days, r.Daily, entry.Started.UTC().Format(time.DateOnly)},
			{d.weeks, r.Weekly, isoWeek(entry.Started.UTC())},
			{d.months, r.Monthly, entry.Started.UTC().Format("2006-01")},
		} {
			if !period.seen[period.name] && len(period.seen) < period.count {
				kept[entry.ID] = true
				period.seen[period.name] = true
			}
		}
	}
	return kept
}

func isoWeek(t time.Time) string {
	year, week := t.ISOWeek()
	return fmt.Sprintf("%d-W%02d", year, week)
}

// Pruned is what Prune has removed.
type Pruned struct {
	Backups []string `json:"backups"`
	// Orphans are objects that no manifest counts.
	Orphans []string `json:"orphans"`
	// Uploads is the number of unfinished uploads.
	Uploads int `json:"uploads"`
}

// An orphan younger than that may belong to a run that goes on.
const orphanAge = 24 * time.Hour

var ownObject = regexp.MustCompile(`^(\d{8}_\d{6}_[0-9a-f]{4})\.[a-z.]+$`)

// Prune removes the backups that retention does not keep, and what broken-off
// runs have left for more than a day. Objects that are not a backup's stay.
func (j *Job) Prune(ctx context.Context, r Retention) (*Pruned, error) {
	if r.Last < 0 || r.Daily < 0 || r.Weekly < 0 || r.Monthly < 0 || r.Last+r.Daily+r.Weekly+r.Monthly == 0 {
		return nil, fault.Usage("retention would keep nothing: at least one of last, daily, weekly and monthly must be above 0, and none below")
	}
	// First, so that what a run completes between the two is not an orphan.
	objects, err := j.Bucket.list(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := j.List(ctx)
	if err != nil {
		return nil, err
	}
	pruned := &Pruned{Backups: []string{}, Orphans: []string{}}
	kept, known := r.keep(entries), map[string]bool{}
	for _, entry := range entries {
		known[entry.ID] = true
		if kept[entry.ID] {
			continue
		}
		// The manifest goes first: from then on the rest does not count.
		names := []string{entry.ID + ".manifest.json", entry.ID + ".verified.json", entry.Dump.Name}
		if entry.Globals.Name != "" {
			names = append(names, entry.Globals.Name)
		}
		for _, name := range names {
			if err := j.Bucket.remove(ctx, name); err != nil {
				return pruned, fmt.Errorf("prune %s: %w", entry.ID, err)
			}
		}
		pruned.Backups = append(pruned.Backups, entry.ID)
	}
	before := j.Now().Add(-orphanAge)
	for _, o := range objects {
		match := ownObject.FindStringSubmatch(o.name)
		if match == nil || known[match[1]] || !o.modified.Before(before) {
			continue
		}
		if err := j.Bucket.remove(ctx, o.name); err != nil {
			return pruned, fmt.Errorf("sweep %s: %w", o.name, err)
		}
		pruned.Orphans = append(pruned.Orphans, o.name)
	}
	if pruned.Uploads, err = j.Bucket.abortUploads(ctx, before); err != nil {
		return pruned, err
	}
	j.Log.Info("pruned", "backups", pruned.Backups, "orphans", pruned.Orphans, "uploads", pruned.Uploads)
	return pruned, nil
}
