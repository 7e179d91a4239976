package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/platform"
	"berth/internal/provider"
	"berth/internal/release"
)

const shop = `
name: shop
dockerfile: Dockerfile
port: 80
health: /up
environments:
  staging: {hosts: [staging.shop.localhost], database: sqlite}
  production: {hosts: [shop.localhost], database: postgres}
`

// newShop is a world with an application that is backed up.
func newShop(t *testing.T) *world {
	w := newWorld()
	w.project = shop
	w.scheduled = time.Now().Add(-time.Hour)
	w.archived = []backup.Entry{
		archived("20260101_030405_0bad", time.Now().Add(-5*time.Minute), false),
		archived("20260101_030405_900d", time.Now().Add(-10*time.Minute), true),
	}
	return w
}

func TestADeploySchedulesBackups(t *testing.T) {
	w := newShop(t)
	w.scheduled = time.Time{}
	w.berth(t, "deploy", "production", "--image", "local/shop:1").wants(t, 0, "")
	w.wantCalls(t, "deploy production local/shop:1", "bucket", "publish", "schedule backups of production by local/backup:1",
		"check the backups of production")

	w = newShop(t) // schedules are taken away where berth.yaml says so
	w.project = strings.Replace(shop, "database: postgres", "database: postgres, backup: {schedule: never}", 1)
	w.berth(t, "deploy", "production", "--image", "local/shop:1").wants(t, 0, "")
	w.wantCalls(t, "deploy production local/shop:1", "unschedule backups of production")

	w = newShop(t)
	w.project = shop + "images: {backup: ghcr.io/berth/backup:1}\n"
	w.berth(t, "deploy", "production", "--image", "local/shop:1").wants(t, 0, "")
	w.wantCalls(t, "deploy production local/shop:1", "bucket", "schedule backups of production by ghcr.io/berth/backup:1")
}

func TestABackupNow(t *testing.T) {
	w := newShop(t)
	got := w.berth(t, "backup", "now")
	got.wants(t, 0, "production is backed up as 20260102_030405_cafe: 7 rows, 123 kB, verified\n")
	w.wantCalls(t, "bucket", "back up production")
}

func TestBackupsAreListedTheNewestFirst(t *testing.T) {
	w := newShop(t)
	got := w.berth(t, "backup", "list")
	got.wants(t, 0, "✗  20260101_030405_0bad")
	if lines := strings.Split(got.out, "\n"); len(lines) != 4 || !strings.Contains(lines[2], "✓  20260101_030405_900d") || !strings.Contains(lines[2], "verified") {
		t.Errorf("got:\n%s", got.out)
	}
	var entries []backup.Entry
	if err := json.Unmarshal([]byte(w.berth(t, "backup", "list", "--json").out), &entries); err != nil || len(entries) != 2 {
		t.Errorf("got %d, %v", len(entries), err)
	}
}

func TestRestoring(t *testing.T) {
	w := newShop(t)
	w.berth(t, "backup", "restore").wants(t, misused, "berth backup restore --yes")
	w.wantCalls(t)

	// The newest that is not damaged, with a backup of what is there first.
	got := w.berth(t, "backup", "restore", "--yes")
	got.wants(t, 0, "7 rows. Writes were out for 1.5 s.\nWhat was there before is backup 20260102_030405_5afe, and stays as app_before_it beside it.\n")
	w.wantCalls(t, "bucket", "safety backup of production", "pause production", "restore 20260101_030405_900d", "start production")

	w = newShop(t)
	w.berth(t, "backup", "restore", "--yes", "--no-safety-backup", "20260101_030405_900d").wants(t, 0, "stays as app_before_it")
	w.wantCalls(t, "bucket", "pause production", "restore 20260101_030405_900d", "start production")

	w = newShop(t)
	w.berth(t, "backup", "restore", "--yes", "20260101_030405_0bad").wants(t, failed, "a bit was flipped")
	w.wantCalls(t, "bucket")

	// Without a safety backup nothing is touched.
	w = newShop(t)
	w.fail["safety backup of production"] = backup.ErrBusy
	w.berth(t, "backup", "restore", "--yes").wants(t, failed, "--no-safety-backup 20260101_030405_900d")
	w.wantCalls(t, "bucket", "safety backup of production")

	// What fails on the way leaves an application that serves.
	w = newShop(t)
	w.fail["restore 20260101_030405_900d"] = backup.ErrDamaged
	w.berth(t, "backup", "restore", "--yes").wants(t, failed, "damaged")
	w.wantCalls(t, "bucket", "safety backup of production", "pause production", "restore 20260101_030405_900d", "start production")
}

func TestGettingABackup(t *testing.T) {
	w := newShop(t)
	w.berth(t, "backup", "get", "-o", "-").wants(t, 0, "-- 20260101_030405_900d\n")
	file := filepath.Join(t.TempDir(), "it.sql")
	w.berth(t, "backup", "get", "20260101_030405_900d", "--output", file).wants(t, 0, file+" holds backup")
	if content, err := os.ReadFile(file); err != nil || string(content) != "-- 20260101_030405_900d\n" {
		t.Errorf("got %q, %v", content, err)
	}
	w.berth(t, "backup", "get", "--output", file).wants(t, misused, "exists already")
	w.berth(t, "backup", "get", "20990101_030405_900d", "-o", "-").wants(t, failed, "no such backup")
}

func TestWhichEnvironmentIsMeant(t *testing.T) {
	w := newShop(t)
	w.berth(t, "backup", "list", "--env", "staging").wants(t, misused, "environments.staging.backup")
	w.berth(t, "backup", "list", "--env", "nowhere").wants(t, misused, `there is no environment "nowhere"`)
	w.berth(t, "backup").wants(t, misused, "needs a subcommand")
	w.berth(t, "backup", "up").wants(t, misused, `takes no argument "up"`)
	w.project = strings.Replace(shop, "database: sqlite", "database: postgres", 1)
	w.berth(t, "backup", "list").wants(t, misused, "--env production")
	w.project = tiny
	w.berth(t, "backup", "now").wants(t, misused, "no environment has backups")
}

func TestStatusTurnsRedPastTheSchedule(t *testing.T) {
	at := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	daily := config.Backup{Schedule: "17 3 * * *"}
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
		got := backupReport{}.judge(daily, c.entries, c.since, at)
		if got.OK != c.ok || !strings.Contains(got.Problem, c.problem) || got.OK != (got.Problem == "") {
			t.Errorf("%s: got %+v", c.what, got)
		}
		if want := time.Date(2026, 3, 4, 3, 17, 0, 0, time.UTC); got.Due == nil || !got.Due.Equal(want) {
			t.Errorf("%s: next is %v", c.what, got.Due)
		}
	}
}

func TestStatusShowsBackups(t *testing.T) {
	w := newShop(t)
	w.api(t)
	serving := release.Status{Deployed: true, Serving: true}
	w.status = map[string]release.Status{"staging": serving, "production": serving}
	w.archived = w.archived[1:]
	w.berth(t, "status").wants(t, 0, "✓  production  10m ago    verified  20260101_030405_900d  123 kB")

	w.fail["list"] = backup.ErrBusy
	got := w.berth(t, "status", "--json")
	var seen report
	if err := json.Unmarshal([]byte(got.out), &seen); err != nil || got.status != failed || len(seen.Backups) != 1 || seen.Backups[0].Problem == "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStatusShowsWhetherLogLinesArrive(t *testing.T) {
	w := newShop(t)
	w.api(t)
	serving := release.Status{Deployed: true, Serving: true}
	w.status = map[string]release.Status{"staging": serving, "production": serving}
	w.archived = w.archived[1:]
	w.agents[0].Sinks = append(w.agents[0].Sinks, platform.SinkStatus{Name: "frames", State: "failing", Answer: "401 Unauthorized: bad key", Dropped: 3})
	got := w.berth(t, "status")
	got.wants(t, failed, "✓  bucket   node-1  ok       7\n")
	got.wants(t, failed, "✗  frames   node-1  failing  0                 3 lines were lost. 401 Unauthorized: bad key\n")

	w.agents = []platform.AgentStatus{{Node: "node-1", Problem: "the agent does not answer: EOF"}}
	w.berth(t, "status").wants(t, failed, "the agent does not answer: EOF")

	w.fail["agents"] = platform.ErrNoAgent
	w.berth(t, "status").wants(t, failed, "logs: no log agent is installed")

	w.project = shop + "logs: {sinks: [none]}\n"
	w.berth(t, "status").wants(t, 0, "")
}

func TestInitInstallsTheLogAgent(t *testing.T) {
	w := newShop(t)
	w.project = shop + "images: {collector: ghcr.io/berth/collector:1}\n"
	w.berth(t, "init").wants(t, 0, "")
	w.wantCalls(t, "init", "install", "bucket", "install log agent ghcr.io/berth/collector:1 with the bucket")

	w = newShop(t)
	w.project = shop + "logs: {sinks: [none]}\n"
	w.berth(t, "init").wants(t, 0, "")
	w.wantCalls(t, "init", "install", "remove log agent")

	// An existing cluster need not have a bucket, unless it was asked for.
	w = newShop(t)
	w.fail["bucket"] = provider.ErrNoBucket
	w.berth(t, "init").wants(t, 0, "logs are kept nowhere")
	w.project = shop + "logs: {sinks: [bucket]}\n"
	w.berth(t, "init").wants(t, failed, "logs.sinks names the bucket: there is no bucket")
}
