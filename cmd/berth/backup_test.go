package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/backup"
	"berth/internal/overview"
	"berth/internal/platform"
	"berth/internal/provider"
	"berth/internal/release"
	"berth/internal/wal"
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
	w.streamed = &wal.State{Time: time.Now(), Reached: time.Now().Add(-time.Second)}
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
	if lines := strings.Split(got.out, "\n"); len(lines) != 6 || !strings.Contains(lines[2], "✓  20260101_030405_900d") || !strings.Contains(lines[2], "verified") {
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
	got.wants(t, 0, "7 rows. Nothing could be written for 1.5 s.\nThe old data is in backup 20260102_030405_5afe, and stays as database app_before_it beside it.\n")
	w.wantCalls(t, "bucket", "safety backup of production", "pause production", "restore 20260101_030405_900d", "start production")

	w = newShop(t)
	w.berth(t, "backup", "restore", "--yes", "--no-safety-backup", "20260101_030405_900d").wants(t, 0, "stays as app_before_it")
	w.wantCalls(t, "bucket", "pause production", "restore 20260101_030405_900d", "start production")

	w = newShop(t) // of another database
	w.berth(t, "backup", "restore", "--yes", "--no-safety-backup", "--from", "old", "20260101_030405_900d").wants(t, 0, "stays as app_before_it")
	w.wantCalls(t, "bucket", "pause production", "restore 20260101_030405_900d of old", "start production")

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

func TestStatusShowsBackups(t *testing.T) {
	w := newShop(t)
	w.api(t)
	serving := release.Status{Deployed: true, Serving: true}
	w.status = map[string]release.Status{"staging": serving, "production": serving}
	w.archived = w.archived[1:]
	w.berth(t, "status").wants(t, 0, "✓  production  10m ago    verified  20260101_030405_900d  123 kB")

	w.fail["list"] = backup.ErrBusy
	got := w.berth(t, "status", "--json")
	var seen overview.Report
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
	w.berth(t, "init").wants(t, 0, "logs are not kept")
	w.project = shop + "logs: {sinks: [bucket]}\n"
	w.berth(t, "init").wants(t, failed, "logs.sinks names the bucket: there is no bucket")
}

// newStreamed is a shop whose log goes into the bucket.
func newStreamed(t *testing.T) *world {
	w := newShop(t)
	now := time.Now()
	w.windows = []wal.Window{{Chain: "7-1", From: now.Add(-26 * time.Hour), To: now, Verified: now.Add(-8 * time.Hour), Live: true}}
	return w
}

func TestBackToAMoment(t *testing.T) {
	w := newStreamed(t)
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	got := w.berth(t, "backup", "restore", "--yes", "--at", at.Format(time.RFC3339))
	got.wants(t, 0, "Nothing could be written for 1.5 s.\nThe old data is in backup 20260102_030405_5afe")
	w.wantCalls(t, "bucket", "moment "+at.Format(time.DateTime), "safety backup of production", "pause production", "restore 20260102_030405_1a57", "start production")
	if want := at.Local().Format(time.DateTime); !strings.Contains(got.out, "as of "+want) || !strings.Contains(got.out, "production serves what was there on "+want) {
		t.Errorf("it does not say that it is as of %s:\n%s", want, got.out)
	}

	// The last one, of a server that is gone.
	w = newStreamed(t)
	w.berth(t, "backup", "restore", "--yes", "--no-safety-backup", "--at", "latest").wants(t, 0, "stays as app_before_it")
	w.wantCalls(t, "bucket", "moment latest", "pause production", "restore 20260102_030405_1a57", "start production")

	// Before a deploy.
	w = newStreamed(t)
	deployed := time.Now().Add(-30 * time.Minute)
	w.history = []release.Revision{{Number: 3, When: deployed}}
	w.berth(t, "backup", "restore", "--yes", "--before", "3").wants(t, 0, "")
	w.wantCalls(t, "bucket", "moment "+deployed.Add(-time.Second).UTC().Format(time.DateTime), "safety backup of production", "pause production",
		"restore 20260102_030405_1a57", "start production")

	// As a file.
	w = newStreamed(t)
	w.berth(t, "backup", "get", "--at", "5m", "-o", "-").wants(t, 0, "-- 20260102_030405_1a57\n")

	// What cannot be reached is said before anything is done.
	for _, c := range []struct{ arguments, wants string }{
		{"--at 3d", "this moment cannot be reached"},
		{"--at 5m 20260101_030405_900d", "take one of them"},
		{"--at 5m --before 3", "take one of them"},
		{"--at yesterday", "neither an age"},
		{"--before 9", "no revision 9"},
	} {
		w = newStreamed(t)
		got := w.berth(t, append([]string{"backup", "restore", "--yes"}, strings.Fields(c.arguments)...)...)
		if got.status == 0 || !strings.Contains(got.errors, c.wants) {
			t.Errorf("%s: got %+v", c.arguments, got)
		}
	}
	w = newStreamed(t)
	w.project = strings.Replace(shop, "database: postgres", "database: postgres, backup: {continuous: false}", 1)
	w.berth(t, "backup", "restore", "--yes", "--at", "5m").wants(t, misused, "is not backed up continuously")
}

// A large database is not dumped and loaded: another server takes the place of its own.
func TestBackToAMomentOfALargeDatabase(t *testing.T) {
	newLarge := func(t *testing.T) *world {
		w := newStreamed(t)
		w.database = 17
		w.base = wal.Base{ServerVersion: "17.5 (Debian 17.5-1)", Databases: map[string]int64{
			"postgres": 7 << 20, "app": 6_000_000_000, "app_before_20260101_000000_cafe": 6_000_000_000,
		}}
		return w
	}
	w := newLarge(t)
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	filled := "fill data-tiny-postgres17b-0 with " + at.Format(time.DateTime)
	got := w.berth(t, "backup", "restore", "--yes", "--at", at.Format(time.RFC3339))
	got.wants(t, 0, "Nothing is dumped and loaded, because it has 6.0 GB:",
		"production serves what was there on "+at.Local().Format(time.DateTime)+": 6.0 GB, as PostgreSQL 17b. Nothing could be written for 1.5 s.",
		"The old PostgreSQL 17 is kept", "berth database upgrade production --back", "berth database upgrade production --forget")
	w.wantCalls(t, "bucket", filled, "switch production to PostgreSQL 17b")

	// It fails: nothing is switched.
	w = newLarge(t)
	w.fail[filled] = errors.New("no room")
	w.berth(t, "backup", "restore", "--yes", "--at", at.Format(time.RFC3339)).wants(t, failed, "no room")
	w.wantCalls(t, "bucket", filled)

	// One that was killed after the switch is finished, and says that it restored nothing else.
	w = newLarge(t)
	w.switched = true
	w.berth(t, "backup", "restore", "--yes", "--at", "5m").wants(t, 0, "An earlier restore was interrupted", "Nothing else was restored")
	w.wantCalls(t, "bucket")

	for _, c := range []struct {
		what, flag, says string
		change           func(*world)
		whole            bool
	}{
		{"a small one", "", "It is dumped and loaded.", func(w *world) { w.base.Databases["app"] = 5_000_000_000 }, false},
		{"a small one, asked for", "--whole-server", "Nothing is dumped and loaded: a new volume", func(w *world) { w.base.Databases["app"] = 1 }, true},
		{"a large one, asked for", "--whole-server=false", "It is dumped and loaded.", func(*world) {}, false},
		{"by an older program", "", "because it has 6.0 GB", func(w *world) { w.base.Databases, w.base.Object.PlainBytes = nil, 6_000_000_000 }, true},
		{"beside another", "", "takes a while with 6.0 GB, because its server also had other databases: app, reports", func(w *world) { w.base.Databases["reports"] = 6_000_000_000 }, false},
		{"of another version", "", "because its log is of PostgreSQL 17, and the server is PostgreSQL 18", func(w *world) { w.database = 18 }, false},
		{"of nobody's", "", "because production has no server of berth's own", func(w *world) { w.database = 0 }, false},
	} {
		w := newLarge(t)
		c.change(w)
		got := w.berth(t, strings.Fields("backup restore --yes --no-safety-backup --at 5m "+c.flag)...)
		got.wants(t, 0, c.says)
		if whole := strings.HasPrefix(w.calls[1], "fill "); whole != c.whole {
			t.Errorf("%s: the calls are %q", c.what, w.calls)
		}
	}
	w = newLarge(t)
	w.database = 18
	w.berth(t, "backup", "restore", "--yes", "--at", "5m", "--whole-server").wants(t, misused, "cannot be restored as a whole server: its log is of PostgreSQL 17")
	w.berth(t, "backup", "restore", "--yes", "--whole-server").wants(t, misused, "name one with --at or --before")
}

func TestMomentsAreListed(t *testing.T) {
	w := newStreamed(t)
	for _, arguments := range [][]string{{"backup", "list"}, {"backup", "restore", "--list"}} {
		w.berth(t, arguments...).wants(t, 0, w.windows[0].From.Local().Format(time.DateTime))
	}
	w.windows = nil
	w.berth(t, "backup", "restore", "--list").wants(t, 0, "No moment between backups can be restored yet.\n")
}
