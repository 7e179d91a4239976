package overview

import (
	"context"
	"fmt"
	"strings"
	"time"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
)

// overdue is how long after its time a backup may take to be there: the job may
// run for an hour, and be tried once more.
const overdue = 2 * time.Hour

// Backup says how the backups of an environment are doing.
type Backup struct {
	Environment string `json:"environment"`
	Schedule    string `json:"schedule"`
	// OK is false when the newest good backup is older than the schedule
	// allows, or the newest of all is damaged.
	OK bool `json:"ok"`
	// Problem says why it is not.
	Problem string `json:"problem,omitempty"`
	// Last is the newest good backup, without its tables.
	Last *LastBackup `json:"last,omitempty"`
	// Due is when the next one begins.
	Due *time.Time `json:"due,omitempty"`
	// Stream is how far the write-ahead log is, where it is backed up.
	Stream *Stream `json:"stream,omitempty"`
}

// LastBackup is a backup without its tables.
type LastBackup struct {
	ID       string    `json:"id"`
	Made     time.Time `json:"made"`
	Verified bool      `json:"verified"`
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"`
}

// Backup asks the bucket and the cluster for an environment's backups. What it
// cannot find out is the problem that is returned, so that the rest of a status is
// shown.
func (l *Looker) Backup(ctx context.Context, environment string) Backup {
	b := l.Config.Environments[environment].Backup
	report := Backup{Environment: environment, Schedule: b.Schedule}
	job, err := l.Backups(environment)
	if err != nil {
		return report.bad(err)
	}
	since, err := job.Installed(ctx)
	if err != nil {
		return report.bad(err)
	}
	if since.IsZero() {
		return report.bad(fault.WithHint(fmt.Errorf("not scheduled on this cluster"), "berth deploy %s", environment))
	}
	found, err := l.Archive(ctx, environment)
	if err != nil {
		return report.bad(err)
	}
	entries, err := found.List(ctx)
	if err != nil {
		return report.bad(err)
	}
	report = report.judge(b, entries, since, time.Now())
	if !b.Streams() {
		return report
	}
	if report.Stream, err = lookAtStream(ctx, job, found); err != nil {
		return report.bad(err)
	}
	if !report.Stream.OK {
		report.OK = false
		report.Problem = strings.TrimPrefix(report.Problem+"; "+report.Stream.Problem, "; ")
	}
	return report
}

func (r Backup) bad(err error) Backup {
	r.Problem = err.Error()
	if hint := fault.Hint(err); hint != "" {
		r.Problem += ": " + hint
	}
	return r
}

// judge compares what there is, the newest first, with the schedule.
func (r Backup) judge(b config.Backup, entries []backup.Entry, since, now time.Time) Backup {
	r.OK = true
	for _, e := range entries {
		if !e.Moment.IsZero() {
			continue // It is older than it was made.
		}
		if e.Unreadable {
			r.OK = false
			r.Problem = e.Problem
			continue
		}
		if !e.Damaged() {
			r.Last = &LastBackup{e.ID, e.Started, e.OK(), e.Rows(), e.Dump.Bytes}
			since = e.Started
			break
		}
		r.OK = false
		r.Problem = e.ID + " is " + e.State() + ": " + e.Verified.Problem
	}
	due, err := b.Due(since)
	if err != nil {
		return r.bad(err)
	}
	if now.Sub(due) > overdue {
		r.OK = false
		r.Problem = fmt.Sprintf("none since, although one was due on %s", due.Local().Format(time.DateTime))
	}
	if next, err := b.Due(now); err == nil {
		r.Due = &next
	}
	return r
}
