package main

import (
	"testing"
	"time"
)

func TestMoments(t *testing.T) {
	local := time.Local
	t.Cleanup(func() { time.Local = local })
	time.Local = time.FixedZone("CET", 3600)
	now := time.Date(2026, 3, 3, 15, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"5m": now.Add(-5 * time.Minute), "2d": now.AddDate(0, 0, -2),
		"14:03": time.Date(2026, 3, 3, 14, 3, 0, 0, time.Local), "14:03:07": time.Date(2026, 3, 3, 14, 3, 7, 0, time.Local),
		"23:59":     time.Date(2026, 3, 2, 23, 59, 0, 0, time.Local), // today it is still to come
		"13:03 UTC": time.Date(2026, 3, 3, 13, 3, 0, 0, time.UTC), "13:03Z": time.Date(2026, 3, 3, 13, 3, 0, 0, time.UTC), "16:03+05:00": time.Date(2026, 3, 3, 11, 3, 0, 0, time.UTC),
		"2026-03-01 10:00": time.Date(2026, 3, 1, 10, 0, 0, 0, time.Local), "2026-03-01 10:00 UTC": time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
		"2026-03-01T10:00:00.5Z": time.Date(2026, 3, 1, 10, 0, 0, 500_000_000, time.UTC),
	} {
		var m moment
		if err := m.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := m.at(now); !got.Equal(want) {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	var m goal
	if err := m.Set("latest"); err != nil || !m.isLatest() {
		t.Error(err)
	}
	for _, bad := range []string{"", "25:00", "-5m", "yesterday", "14.03", "Latest"} {
		if err := m.Set(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
