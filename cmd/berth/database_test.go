package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"berth/internal/release"
)

// newUpgradable is a shop on PostgreSQL 17.
func newUpgradable(t *testing.T) *world {
	w := newShop(t)
	w.database = 17
	w.cluster.BuildsServices = true
	return w
}

func TestUpgradingADatabase(t *testing.T) {
	w := newUpgradable(t)
	got := w.berth(t, "database", "upgrade", "production", "--to", "18", "--yes")
	got.wants(t, 0, "production is on PostgreSQL 18: 1 tables, 7 rows, compared. Nothing could be written for 1.5 s.")
	got.wants(t, 0, "environments.production.databaseVersion: 18")
	got.wants(t, 0, "berth database upgrade production --back")
	if !strings.Contains(got.errors, "work_mem, which stays behind") {
		t.Errorf("it does not warn:\n%s", got.errors)
	}
	w.wantCalls(t, "publish", "publish", "start PostgreSQL 18", "copy production to new by local/backup:1", "pause production",
		"copy production to new by local/backup:1", "switch production", "bucket", "schedule backups of production by local/backup:1", "back up production")

	// Again, it makes sure of the backups alone.
	w = newUpgradable(t)
	w.database = 18
	w.berth(t, "database", "upgrade", "production", "--to", "18", "--yes").wants(t, 0, "production is on PostgreSQL 18 already")
	w.wantCalls(t, "publish", "publish", "start PostgreSQL 18", "bucket", "schedule backups of production by local/backup:1")

	// A rehearsal that fails stops nothing.
	w = newUpgradable(t)
	w.fail["copy production to new by local/backup:1"] = errors.New("no extension postgis")
	w.berth(t, "database", "upgrade", "production", "--to", "18", "--yes").wants(t, failed, "the rehearsal failed, and nothing was changed: no extension postgis")
	w.wantCalls(t, "publish", "publish", "start PostgreSQL 18", "copy production to new by local/backup:1")

	// Nor does an image of another version than it is called by.
	w = newUpgradable(t)
	w.movedTo = "17.12 (Debian 17.12-0+deb13u1)"
	w.berth(t, "database", "upgrade", "production", "--to", "18", "--yes").wants(t, failed, "nothing was changed: the new server is PostgreSQL 17.12 (Debian 17.12-0+deb13u1), not 18")
}

func TestGoingBackFromAnUpgrade(t *testing.T) {
	w := newUpgradable(t)
	w.database = 18
	w.project = strings.Replace(shop, "database: postgres", "database: postgres, databaseVersion: 18", 1)
	w.berth(t, "database", "upgrade", "production", "--back", "--yes").wants(t, misused, "keeps no database from before an upgrade or a restore")

	w.kept = []release.KeptServer{{Server: release.Server{Version: 17}, Since: time.Now().Add(-time.Hour)}}
	got := w.berth(t, "database", "upgrade", "production", "--back", "--yes")
	got.wants(t, 0, "production is on PostgreSQL 17 again")
	got.wants(t, 0, "Later writes are in backup 20260102_030405_5afe")
	w.wantCalls(t, "safety backup of production", "switch back production", "publish", "bucket", "schedule backups of production by local/backup:1", "back up production")

	w.calls = nil
	w.berth(t, "database", "upgrade", "production", "--forget", "--yes").wants(t, 0, "1 were removed")
	w.wantCalls(t, "forget databases of production")
}

func TestWhatIsNoUpgrade(t *testing.T) {
	for _, c := range []struct{ arguments, project, wants string }{
		{"production --yes", shop, "give one of --to VERSION, --back and --forget"},
		{"production --to 18 --back --yes", shop, "give one of"},
		{"production --to 18", shop, "there is no terminal to ask on"},
		{"production --to 16 --yes", shop, "--back"},
		{"production --to 19 --yes", shop, "PostgreSQL 15, 17, 18, not 19"},
		{"staging --to 18 --yes", shop, `the database of staging is "sqlite": there is no PostgreSQL to upgrade`},
		{"production --to 18 --yes", strings.Replace(shop, "database: postgres", "database: postgres, backup: {schedule: never}", 1), "has no backups, and an upgrade needs them"},
		{"production --to 18 --yes", strings.Replace(shop, "database: postgres", "database: postgres, values: {postgresql: {image: {reference: postgis/postgis:17}}}", 1), "--image REFERENCE"},
		{"nowhere --to 18 --yes", shop, `there is no environment "nowhere"`},
	} {
		w := newUpgradable(t)
		w.project = c.project
		w.berth(t, append([]string{"database", "upgrade"}, strings.Fields(c.arguments)...)...).wants(t, misused, c.wants)
		w.wantCalls(t)
	}
}

// A deploy of an environment on another version builds the images of that one.
func TestADeployOfAnotherVersion(t *testing.T) {
	w := newUpgradable(t)
	w.project = strings.Replace(shop, "database: postgres", "database: postgres, databaseVersion: 18", 1)
	w.berth(t, "deploy", "production", "--image", "local/shop:1").wants(t, 0, "")
	w.wantCalls(t, "publish", "deploy production local/shop:1", "bucket", "publish", "schedule backups of production by local/backup:1")
}
