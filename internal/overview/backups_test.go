package overview

import (
	"strings"
	"testing"
	"time"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/wal"
)

func TestBackupsTurnRedPastTheSchedule(t *testing.T) {
	at := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	daily := config.Backup{Schedule: "17 3 * * *"}
	archived := func(id string, when time.Time, good bool) backup.Entry {
		e := backup.Entry{Manifest: backup.Manifest{ID: id, Started: when}, Verified: &backup.Verification{ID: id, OK: good}}
		if !good {
			e.Verified.Problem = "a bit was flipped"
		}
		return e
	}
	entry := func(days int, good bool) backup.Entry {
		return archived("20260303_031700_0000", time.Date(2026, 3, days, 3, 17, 5, 0, time.UTC), good)
	}
	for _, c := range []struct {
		what    string
		entries []backup.Entry
		since   time.Time
		ok      bool
		problem string
	}{
		{"one of last night", []backup.Entry{entry(3, true), entry(2, true)}, at, true, ""},
		{"one of the night before", []backup.Entry{entry(2, true)}, at, false, "none since"},
		{"a damaged one after a good one", []backup.Entry{entry(3, false), entry(2, true)}, at, false, "none since"},
		{"none, scheduled today", nil, at.Add(-time.Hour), true, ""},
		{"none, scheduled yesterday", nil, at.Add(-20 * time.Hour), false, "none since"},
		{"one made by hand that is damaged", []backup.Entry{archived("x", at.Add(-time.Hour), false), entry(3, true)}, at, false, "x is damaged: a bit"},
	} {
		got := Backup{}.judge(daily, c.entries, c.since, at)
		if got.OK != c.ok || !strings.Contains(got.Problem, c.problem) || got.OK != (got.Problem == "") {
			t.Errorf("%s: got %+v", c.what, got)
		}
		if want := time.Date(2026, 3, 4, 3, 17, 0, 0, time.UTC); got.Due == nil || !got.Due.Equal(want) {
			t.Errorf("%s: next is %v", c.what, got.Due)
		}
	}
}

// A bucket that is away turns the status red within a minute.
func TestBackupsTurnRedBehindTheLog(t *testing.T) {
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	said := func(ago, behind time.Duration, problem string) *wal.State {
		return &wal.State{Time: now.Add(-ago), Reached: now.Add(-ago - behind), Problem: problem}
	}
	long := now.Add(-time.Hour)
	for _, c := range []struct {
		what    string
		said    *wal.State
		since   time.Time
		ok      bool
		problem string
	}{
		{"as it goes", said(9*time.Second, time.Second, ""), long, true, ""},
		{"a hiccup", said(9*time.Second, 20*time.Second, "the connection broke"), long, true, ""},
		{"nothing arrives", said(50*time.Second, time.Second, ""), long, false, "has not reached the bucket for 51s"},
		{"the database is away", said(5*time.Second, time.Minute, "connection refused"), long, false, "is 1m5s behind: connection refused"},
		{"it begins", nil, now.Add(-time.Minute), true, ""},
		{"it never began", nil, long, false, "has not begun"},
		{"it begins again", said(time.Hour, time.Second, ""), now.Add(-time.Minute), true, ""},
	} {
		got := judgeStream(c.said, c.since, now)
		if got.OK != c.ok || !strings.Contains(got.Problem, c.problem) || got.OK != (got.Problem == "") {
			t.Errorf("%s: got %+v", c.what, got)
		}
	}
}
