package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment is a flag's point in time: how long ago, or when.
type moment string

// layouts are how a moment is written, in local time where it names no zone.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04Z07:00",
	"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly,
}

// clocks are moments of the last day.
var clocks = []string{"15:04:05Z07:00", "15:04Z07:00", "15:04:05", "15:04"}

func (m *moment) String() string { return string(*m) }
func (m *moment) Type() string   { return "time" }

func (m *moment) Set(text string) error {
	if age, ok := ageOf(text); ok {
		if age < 0 {
			return fmt.Errorf("an age must not be negative; it is %s", text)
		}
	} else if timeOf(text, time.Now()).IsZero() {
		return fmt.Errorf("neither an age like 90s, 2h or 7d nor a time like %s", time.RFC3339)
	}
	*m = moment(text)
	return nil
}

// at is the moment as seen from now, or zero where none is set.
func (m moment) at(now time.Time) time.Time {
	if age, ok := ageOf(string(m)); ok {
		return now.Add(-age)
	}
	return timeOf(string(m), now)
}

// ageOf knows days besides what [time.ParseDuration] does.
func ageOf(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && n < 100_000
	}
	age, err := time.ParseDuration(text)
	return age, err == nil
}

func timeOf(text string, now time.Time) time.Time {
	text = strings.Replace(text, " UTC", "Z", 1)
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at
		}
	}
	for _, layout := range clocks {
		at, err := time.ParseInLocation(layout, text, time.Local)
		if err != nil {
			continue
		}
		day := now.In(at.Location())
		at = time.Date(day.Year(), day.Month(), day.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), at.Location())
		if at.After(now) {
			at = at.AddDate(0, 0, -1)
		}
		return at
	}
	return time.Time{}
}

// latest is what a goal says for the last moment there is.
const latest = "latest"

// goal is a flag's moment to go back to, or the latest one.
type goal struct{ moment }

func (g *goal) Set(text string) error {
	if text == latest {
		g.moment = latest
		return nil
	}
	return g.moment.Set(text)
}

func (g goal) isLatest() bool { return g.moment == latest }
