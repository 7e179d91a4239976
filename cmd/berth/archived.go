package main

import (
	"context"
	"fmt"
	"time"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
)

// overdue is how long after its time a backup may take to be there: the job may
// run for an hour, and be tried once more.
const overdue = 2 * time.Hour

// backupReport says how the backups of an environment are doing.
type backupReport struct {
	Environment string `json:"environment"`
	Schedule    string `json:"schedule"`
	// OK is false when the newest good backup is older than the schedule
	// allows, or the newest of all is damaged.
	OK bool `json:"ok"`
	// Problem says why it is not.
	Problem string `json:"problem,omitempty"`
	// Last is the newest good backup, without its tables.
	Last *lastBackup `json:"last,omitempty"`
	// Due is when the next one begins.
	Due *time.Time `json:"due,omitempty"`
}

type lastBackup struct {
	ID       string    `json:"id"`
	Made     time.Time `json:"made"`
	Verified bool      `json:"verified"`
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"`
}

// lookAtBackups asks the bucket and the cluster. What it cannot find out is the
// report's problem, so that the rest of a status is shown.
func (a *app) lookAtBackups(ctx context.Context, c *config.Config, p provider.Provider, cluster *provider.Cluster, environment string) backupReport {
	b := c.Environments[environment].Backup
	report := backupReport{Environment: environment, Schedule: b.Schedule}
	job, err := a.parts.backups(cluster, c, environment)
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
	found, err := a.archiveOf(ctx, c, p, environment)
	if err != nil {
		return report.bad(err)
	}
	entries, err := found.List(ctx)
	if err != nil {
		return report.bad(err)
	}
	return report.judge(b, entries, since, time.Now())
}

func (r backupReport) bad(err error) backupReport {
	r.Problem = err.Error()
	if hint := fault.Hint(err); hint != "" {
		r.Problem += ": " + hint
	}
	return r
}

// judge compares what there is, the newest first, with the schedule.
func (r backupReport) judge(b config.Backup, entries []backup.Entry, since, now time.Time) backupReport {
	r.OK = true
	for _, e := range entries {
		if e.Unreadable {
			r.OK = false
			r.Problem = e.Problem
			continue
		}
		if !e.Damaged() {
			r.Last = &lastBackup{e.ID, e.Started, e.OK(), e.Rows(), e.Dump.Bytes}
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

func (a *app) printBackups(all []backupReport, now time.Time) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, r := range all {
		row := []string{mark(r.OK), r.Environment, "none yet", "", "", "", "", r.Problem}
		if l := r.Last; l != nil {
			state := "verified"
			if !l.Verified {
				state = "unverified"
			}
			row = []string{mark(r.OK), r.Environment, since(l.Made, now) + " ago", state, l.ID, bytesOf(l.Bytes), "", r.Problem}
		}
		if r.Due != nil {
			row[6] = r.Due.Local().Format(time.DateTime)
		}
		rows = append(rows, row)
	}
	a.console.Print("")
	a.console.Table([]string{" ", "BACKUPS OF", "LAST GOOD", "STATE", "ID", "SIZE", "NEXT", ""}, rows)
}
