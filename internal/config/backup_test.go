package config

import (
	"strings"
	"testing"
	"time"
)

// live returns a berth.yaml with these keys for the environment live.
func live(keys string) string {
	return "name: tiny\nimage: ghcr.io/me/tiny:1\nport: 80\nenvironments:\n  live:\n    hosts: [tiny.localhost]\n" + keys
}

func TestWhatIsBackedUp(t *testing.T) {
	for _, c := range []struct {
		what, keys, schedule string
		keep                 Keep
	}{
		{"PostgreSQL is, daily", "    database: postgres\n", "17 3 * * *", Keep{7, 14, 8, 12}},
		{"unless it is turned off", "    database: postgres\n    backup: {schedule: never}\n", "never", Keep{}},
		{"at another time, others kept", "    database: postgres\n    backup: {schedule: '0 * * * *', keep: {last: 24}}\n", "0 * * * *", Keep{Last: 24}},
		{"SQLite is not", "    database: sqlite\n", "", Keep{}},
		{"unless it is asked for", "    database: sqlite\n    backup: {schedule: '@daily'}\n", "", Keep{}},
	} {
		got, err := Load(folder(t, map[string]string{File: live(c.keys)}), nil)
		if strings.Contains(c.keys, "@") {
			if err == nil {
				t.Errorf("%s: a schedule that a CronJob does not know is taken", c.what)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if b := got.Environments["live"].Backup; b.Schedule != c.schedule || b.Keep != c.keep || b.Enabled() != (c.keep != Keep{}) {
			t.Errorf("%s: got %+v", c.what, b)
		}
	}
}

func TestBackupMistakes(t *testing.T) {
	for keys, want := range map[string]string{
		"    backup: {schedule: '17 3 * * *'}\n":                                    "must be never where there is no database",
		"    database: sqlite\n    rehearse: true\n":                                "environments.live.rehearse: needs a backup to make a copy of",
		"    database: postgres\n    backup: {schedule: often}\n":                   "environments.live.backup.schedule: must be five fields",
		"    database: postgres\n    backup: {schedule: 'CRON_TZ=UTC 1 1 * * *'}\n": "must be five fields",
		"    database: postgres\n    backup: {schedule: '61 3 * * *'}\n":            "must be five fields",
		"    database: postgres\n    backup: {keep: {last: -1}}\n":                  "environments.live.backup.keep.last: must be 0 or more",
		"    database: postgres\n    backup: {recipients: [AGE-SECRET-KEY-1QQ]}\n":  "must be an age public key",
		"    database: postgres\n    backup: {format: tar}\n":                       "must be plain or custom",
		"    database: postgres\n    backup: {at: noon}\n":                          "environments.live.backup.at: there is no such key",
		"    database: postgres\nimages: {backup: \"a b\"}\n":                       "images.backup: must be a reference",
	} {
		if _, err := Load(folder(t, map[string]string{File: live(keys)}), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %q", keys, err, want)
		}
	}
}

func TestWhenTheNextBackupIsDue(t *testing.T) {
	b := Backup{Schedule: "17 3 * * *"}
	after := time.Date(2026, 3, 1, 4, 0, 0, 0, time.FixedZone("", 3600)) // 03:00 in UTC
	due, err := b.Due(after)
	if want := time.Date(2026, 3, 1, 3, 17, 0, 0, time.UTC); err != nil || !due.Equal(want) {
		t.Errorf("got %s, %v; want %s", due, err, want)
	}
}
