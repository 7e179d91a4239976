package main

import (
	"fmt"
	"time"

	"berth/internal/console"
)

func mark(good bool) string {
	if good {
		return console.Good
	}
	return console.Bad
}

// since is a time as its distance from now.
func since(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	switch age := now.Sub(at); {
	case age < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(age.Seconds())))
	case age < time.Hour:
		return fmt.Sprintf("%dm", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh", int(age.Hours()))
	default:
		return fmt.Sprintf("%dd", int(age.Hours()/24))
	}
}
