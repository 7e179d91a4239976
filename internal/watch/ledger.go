package watch

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// patience is how long a kind of problem has to last before it is told, and
// calm how long it has to be away before it counts as healed. What is not here
// has the usual ones.
var (
	patience = map[string]time.Duration{
		// By then it is clear whether it happens again and again: Kubernetes makes a pause
		// of 10 seconds before it starts a container the second time.
		outOfMem:    20 * time.Second,
		crashLoop:   5 * time.Second,
		"JobFailed": 3 * time.Second, "MissedSchedule": 30 * time.Second, "LinesLost": 0,
		"VolumeFull": 0, "DiskFull": 0, "CertificateEnds": 0,
		"Unschedulable": 45 * time.Second, "MemoryPressure": 30 * time.Second, "DiskPressure": 30 * time.Second,
		"AgentSilent": 45 * time.Second,
	}
	calm = map[string]time.Duration{
		crashLoop: time.Minute, "VolumeFull": 10 * time.Minute, "DiskFull": 10 * time.Minute, "JobFailed": 3 * time.Second,
		"MissedSchedule": 3 * time.Second, outOfMem: 3 * time.Second,
	}
)

const (
	usualPatience, usualCalm = 15 * time.Second, 15 * time.Second
	// settling is how long a watch that has just begun takes to tell of what it
	// finds: the machine may have begun with it.
	settling = 20 * time.Second
	// remembered is how long what healed is kept, to know what comes back.
	remembered = time.Hour
	// longestCalm bounds how long what comes and goes has to be away.
	longestCalm = 20 * time.Minute
	// mostEntries bounds the ledger.
	mostEntries = 300
)

// An Entry is the ledger's record of one problem.
type Entry struct {
	Key, Namespace, Kind, Title string
	// Since is when it was first seen, Told when it was told; zero before.
	Since time.Time
	Told  time.Time
	// Gone is since when it has not been seen; zero while it is.
	Gone time.Time
	// Healed is when its end was told; zero before.
	Healed time.Time
	// Returns counts how often it came back soon after it had healed.
	Returns int
	Once    bool
}

// A Ledger decides what is reported and when. It is not safe for concurrent use.
type Ledger struct {
	Entries map[string]*Entry
	began   time.Time
}

// NewLedger returns an empty ledger of a watch that begins now.
func NewLedger(began time.Time) *Ledger {
	return &Ledger{Entries: map[string]*Entry{}, began: began}
}

// A Change is something to tell: a problem, or that one has healed.
type Change struct {
	Entry
	Healed bool
	// Problem is empty when it has healed.
	Problem Problem
}

// Look takes the present problems and returns what to report. It reports nothing
// about namespaces with a deploy in progress, and starts their unreported problems
// over afterwards: the deploy reports its own problems, and undoes what fails.
func (l *Ledger) Look(problems []Problem, deploying map[string]bool, now time.Time) []Change {
	var changes []Change
	seen := map[string]bool{}
	for _, p := range problems {
		seen[p.Key] = true
		if change, ok := l.present(p, deploying[p.Namespace], now); ok {
			changes = append(changes, change)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.Entries)) {
		e := l.Entries[key]
		if seen[key] || e.Namespace != "" && deploying[e.Namespace] {
			continue
		}
		if change, ok := l.absent(e, now); ok {
			changes = append(changes, change)
		}
	}
	l.forget()
	return changes
}

// present notes a problem that is there.
func (l *Ledger) present(p Problem, deploying bool, now time.Time) (Change, bool) {
	e := l.Entries[p.Key]
	told := e != nil && !e.Told.IsZero() && e.Healed.IsZero()
	if deploying && p.Namespace != "" {
		if !told {
			delete(l.Entries, p.Key)
		}
		return Change{}, false
	}
	if e == nil {
		e = &Entry{Key: p.Key, Namespace: p.Namespace, Since: now}
		l.Entries[p.Key] = e
	}
	e.Gone = time.Time{}
	if !told {
		e.Kind, e.Title, e.Once = p.Kind, p.Title, p.Once
	}
	if !e.Healed.IsZero() { // it is back
		e.Since, e.Told, e.Healed = now, time.Time{}, time.Time{}
		e.Returns++
	}
	if told || now.Sub(e.Since) < of(patience, p.Kind, usualPatience) || now.Sub(l.began) < settling {
		return Change{}, false
	}
	e.Told = now
	return Change{Entry: *e, Problem: p}, true
}

// absent notes that a problem is not there.
func (l *Ledger) absent(e *Entry, now time.Time) (Change, bool) {
	switch {
	case e.Told.IsZero():
		delete(l.Entries, e.Key)
		return Change{}, false
	case !e.Healed.IsZero():
		if now.Sub(e.Healed) > remembered {
			delete(l.Entries, e.Key)
		}
		return Change{}, false
	case e.Gone.IsZero():
		e.Gone = now
	}
	wait := min(of(calm, e.Kind, usualCalm)<<min(e.Returns, 10), longestCalm)
	if now.Sub(e.Gone) < wait {
		return Change{}, false
	}
	e.Healed = now
	if e.Once {
		return Change{}, false
	}
	return Change{Entry: *e, Healed: true}, true
}

func of(times map[string]time.Duration, kind string, usual time.Duration) time.Duration {
	if known, ok := times[kind]; ok {
		return known
	}
	return usual
}

// Pending reports whether time alone will soon change something.
func (l *Ledger) Pending() bool {
	for _, e := range l.Entries {
		if e.Told.IsZero() || e.Healed.IsZero() && !e.Gone.IsZero() {
			return true
		}
	}
	return false
}

// forget drops what healed longest ago when there is too much.
func (l *Ledger) forget() {
	if len(l.Entries) <= mostEntries {
		return
	}
	all := slices.SortedFunc(maps.Values(l.Entries), func(a, b *Entry) int {
		if a.Healed.IsZero() != b.Healed.IsZero() {
			if a.Healed.IsZero() {
				return 1
			}
			return -1
		}
		return a.Since.Compare(b.Since)
	})
	for _, e := range all[:len(all)-mostEntries] {
		delete(l.Entries, e.Key)
	}
}

// Copy returns the entries as they are.
func (l *Ledger) Copy() map[string]*Entry {
	all := make(map[string]*Entry, len(l.Entries))
	for key, e := range l.Entries {
		kept := *e
		all[key] = &kept
	}
	return all
}

// Broken returns reported problems that have not healed, and those that are not
// reported yet, the oldest first.
func (l *Ledger) Broken() (told, suspected []Entry) {
	for _, e := range l.Entries {
		switch {
		case e.Told.IsZero():
			suspected = append(suspected, *e)
		case e.Healed.IsZero() && !e.Once:
			told = append(told, *e)
		}
	}
	byAge := func(a, b Entry) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	}
	slices.SortFunc(told, byAge)
	slices.SortFunc(suspected, byAge)
	return told, suspected
}
