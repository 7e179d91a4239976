package rehearsal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"berth/internal/rollout"
)

const (
	// longLock is how long a lock must be held to be told of, and worstLock to speak
	// against a release: requests wait as long.
	longLock  = time.Second
	worstLock = 5 * time.Second
	// slower is how many times as long an answer must take to speak against a release,
	// and slowest by how many milliseconds more: below that it is noise.
	slower, slowest = 2.5, 100
	// mostLog is how much of the write-ahead log a server keeps at most: its own share, and
	// what a stream has not taken yet.
	mostLog = 2 << 30
	// oldBackup is from when on a backup is told to be.
	oldBackup = 26 * time.Hour
)

// judge says whether the release may go to the environment.
func (r *Report) judge() {
	r.judgeRelease()
	r.judgeRows()
	r.judgeWrites()
	r.judgeLocks()
	r.judgeDisk()
	r.judgeHealth()
	r.judgeAnswers()
	r.Good = len(r.Reasons) == 0
}

func (r *Report) against(kind Kind, why []rollout.Reason, format string, arguments ...any) {
	r.Reasons = append(r.Reasons, Reason{kind, fmt.Sprintf(format, arguments...), why})
}

func (r *Report) remark(format string, arguments ...any) {
	r.Remarks = append(r.Remarks, fmt.Sprintf(format, arguments...))
}

func (r *Report) judgeRelease() {
	if r.Release != nil && !r.Release.OK {
		r.against(ReleaseCommand, r.Release.Why, "the release command failed after %s%s", seconds(r.Release.Seconds), because(r.Release.Why))
		if some := len(r.Schema.Gained) + len(r.Schema.Lost) + len(r.Schema.Changed) + len(r.Tables); some > 0 {
			r.remark("what it had changed by then stayed: it is not one transaction")
		}
	}
}

// judgeRows looks for rows that are gone. A table may have been renamed, or made again
// with all of its rows.
func (r *Report) judgeRows() {
	for _, t := range r.Tables {
		switch {
		case t.Of != "": // whose rows they are
		case t.After < 0 && t.Before > 0:
			r.against(LostRows, nil, "it drops the table %s with its %s", t.Name, rows(t.Before))
		case t.After < t.Before && t.After >= 0:
			r.against(LostRows, nil, "it loses %s of the table %s, which had %d and has %d", rows(t.Before-t.After), t.Name, t.Before, t.After)
		}
		if t.Unlogged {
			r.against(LostRows, nil, "it makes the table %s unlogged: its %s would be gone after a crash, and are in no write-ahead log", t.Name, rows(t.After))
		}
		if t.Rewritten && t.Before > 0 {
			r.remark("it rewrites the table %s, with %s", t.Name, rows(t.Before))
		}
	}
}

// judgeWrites looks for what GET requests do not tell: whether who writes rows as they
// were could go on with that.
func (r *Report) judgeWrites() {
	for _, w := range r.Writes {
		if w.Refused != "" {
			r.against(RefusedWrite, nil, "the table %s does not take a row any more that it took before: %s", w.Table, w.Refused)
		}
		if len(w.Deletes) > 0 {
			r.against(RefusedWrite, nil, "who writes a row to the table %s deletes rows of %s now", w.Table, strings.Join(w.Deletes, ", "))
		}
	}
}

func (r *Report) judgeLocks() {
	for _, l := range r.Locks {
		if l.Mode == rowLock {
			r.remark("for %s nobody can change the rows of the table %s that it changes (%s)", seconds(l.Seconds), l.Table, l.Mode)
			continue
		}
		keeps := "nobody can write to"
		if l.Mode == "AccessExclusiveLock" {
			keeps = "nobody can read or write"
		}
		if l.Seconds >= worstLock.Seconds() {
			r.against(HeldLock, nil, "for %s %s the table %s (%s, %s)", seconds(l.Seconds), keeps, l.Table, rows(l.Rows), l.Mode)
		} else {
			r.remark("for %s %s the table %s (%s)", seconds(l.Seconds), keeps, l.Table, l.Mode)
		}
	}
}

func (r *Report) judgeDisk() {
	if needed := r.Disk.Peak + min(r.Disk.Log, mostLog); r.Disk.Volume > 0 && needed > r.Disk.Volume && r.Disk.Peak > r.Disk.Before {
		r.against(NoRoom, nil, "it needs %s for the database and its log, and the volume of %s has %s",
			humanize.Bytes(uint64(max(0, needed))), r.Environment, humanize.Bytes(uint64(max(0, r.Disk.Volume))))
	}
}

func (r *Report) judgeHealth() {
	if r.NewHealth.Asked && !r.NewHealth.OK {
		r.against(Unhealthy, r.NewHealth.Why, "the new image does not become healthy%s", because(r.NewHealth.Why))
	}
	if r.PresentHealth.Asked && !r.PresentHealth.OK {
		r.against(NoWayBack, r.PresentHealth.Why, "the present image is not healthy on the migrated database%s: going back would not help", because(r.PresentHealth.Why))
	}
}

func (r *Report) judgeAnswers() {
	var useless []string
	for _, a := range r.Answers {
		if a.Before.failed() {
			useless = append(useless, a.Path)
			continue
		}
		switch {
		case !r.NewHealth.OK:
		case a.New.failed():
			r.against(WrongAnswer, nil, "GET %s: the new image answers %s, the present one %s", a.Path, a.New.say(), a.Before.say())
		case a.New.Status/100 != a.Before.Status/100:
			r.remark("GET %s: the new image answers %s, the present one %s", a.Path, a.New.say(), a.Before.say())
		case a.New.Milliseconds > slower*a.Before.Milliseconds && a.New.Milliseconds > a.Before.Milliseconds+slowest:
			r.against(SlowAnswer, nil, "GET %s: the new image takes %.0f ms, the present one %.0f ms", a.Path, a.New.Milliseconds, a.Before.Milliseconds)
		}
		if r.PresentHealth.OK && a.Present.failed() {
			r.against(NoWayBack, nil, "GET %s: the present image answers %s on the migrated database, and %s before: going back would not help",
				a.Path, a.Present.say(), a.Before.say())
		}
	}
	if gone := r.Schema.gone(); r.PresentHealth.OK && len(gone) > 0 {
		r.remark("the present image may ask for what is gone, in requests that were not tried: %s", strings.Join(gone, ", "))
	}
	if len(useless) > 0 {
		r.remark("not compared, because the present image does not answer it here before the migration either: GET %s", strings.Join(useless, ", "))
	}
}

func (r Reply) say() string {
	if r.Status == 0 {
		return "not at all"
	}
	return fmt.Sprint(r.Status)
}

// because is the first reason in a few words, after a colon.
func because(why []rollout.Reason) string {
	if len(why) == 0 {
		return ""
	}
	return ": " + why[0].String()
}

func seconds(s float64) string { return fmt.Sprintf("%.1f s", s) }

func rows(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

// median of some numbers, which it sorts.
func median(numbers []float64) float64 {
	slices.Sort(numbers)
	return numbers[len(numbers)/2]
}
