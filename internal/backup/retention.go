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

// Pruned lists what Prune has removed.
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
	objects, err := j.list(ctx)
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
			if err := j.Bucket.Delete(ctx, name); err != nil {
				return pruned, fmt.Errorf("prune %s: %w", entry.ID, err)
			}
		}
		pruned.Backups = append(pruned.Backups, entry.ID)
	}
	before := j.Now().Add(-orphanAge)
	for _, o := range objects {
		match := ownObject.FindStringSubmatch(o.Name)
		if match == nil || known[match[1]] || !o.Modified.Before(before) {
			continue
		}
		if err := j.Bucket.Delete(ctx, o.Name); err != nil {
			return pruned, fmt.Errorf("sweep %s: %w", o.Name, err)
		}
		pruned.Orphans = append(pruned.Orphans, o.Name)
	}
	if pruned.Uploads, err = j.Bucket.AbortUploads(ctx, before); err != nil {
		return pruned, err
	}
	j.Log.Info("pruned", "backups", pruned.Backups, "orphans", pruned.Orphans, "uploads", pruned.Uploads)
	return pruned, nil
}

// keep returns the IDs of entries, newest first, that stay. Whatever the numbers, the
// newest verified backup of a database stays, and all that are newer than it.
// Damaged backups take nobody's place; those that do not load have places of their
// own, as somebody can still get the data out of them. What cannot be read stays.
func (r Retention) keep(entries []Entry) map[string]bool {
	kept := map[string]bool{}
	// sheltered are databases whose newest verified backup has not been passed yet.
	// Without any verified backup only the numbers count.
	sheltered := map[string]bool{}
	for _, entry := range entries {
		if entry.OK() {
			sheltered[entry.Database.Name] = true
		}
	}
	all := map[string]*places{}
	for _, entry := range entries {
		if sheltered[entry.Database.Name] {
			kept[entry.ID] = true
			sheltered[entry.Database.Name] = !entry.OK()
		}
		switch {
		case entry.Unreadable:
			kept[entry.ID] = true
			continue
		case entry.Damaged() && !entry.Verified.DoesNotLoad:
			continue
		}
		p := all[series(entry)]
		if p == nil {
			p = &places{seen: map[string]map[string]bool{}}
			all[series(entry)] = p
		}
		if p.take(r, entry.Started.UTC()) {
			kept[entry.ID] = true
		}
	}
	return kept
}

// places are those that the backups of a series have taken so far.
type places struct {
	last int
	seen map[string]map[string]bool // periods by their kind
}

// take reports whether there is a place for the next backup.
func (p *places) take(r Retention, at time.Time) (taken bool) {
	taken = p.last < r.Last
	p.last++
	for kind, period := range map[string]struct {
		name  string
		count int
	}{
		"day": {at.Format(time.DateOnly), r.Daily}, "week": {isoWeek(at), r.Weekly}, "month": {at.Format("2006-01"), r.Monthly},
	} {
		if p.seen[kind] == nil {
			p.seen[kind] = map[string]bool{}
		}
		if seen := p.seen[kind]; !seen[period.name] && len(seen) < period.count {
			seen[period.name] = true
			taken = true
		}
	}
	return taken
}

// series is which backups share the places of retention.
func series(e Entry) string {
	if !e.Moment.IsZero() {
		return e.Database.Name + "\x00moment" // It is no backup of its day.
	}
	if e.Damaged() && e.Verified.DoesNotLoad {
		return e.Database.Name + "\x00" // no database has that name
	}
	return e.Database.Name
}

func isoWeek(t time.Time) string {
	year, week := t.ISOWeek()
	return fmt.Sprintf("%d-W%02d", year, week)
}
