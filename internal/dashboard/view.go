package dashboard

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/images"
	"berth/internal/kube"
	"berth/internal/overview"
	"berth/internal/platform"
	"berth/internal/release"
)

// functions are what the templates have besides their data.
func (s *server) functions() template.FuncMap {
	return template.FuncMap{
		"base":  func() string { return s.guard.path },
		"form":  func() string { return s.guard.form },
		"app":   func() Application { return s.app },
		"ago":   func(at time.Time) string { return age(at, s.now()) },
		"stamp": stamp,
		"iso":   func(at time.Time) string { return at.UTC().Format(time.RFC3339) },
		"bytes": func(n int64) string { return humanize.Bytes(uint64(max(0, n))) },
		"cpu":   func(u kube.Usage) string { return fmt.Sprintf("%dm", u.CPU) },
		"mib":   func(u kube.Usage) string { return fmt.Sprintf("%d MiB", u.Memory>>20) },
		"short": images.Short,
		"clean": console.CleanLines,
		"hint":  fault.Hint,
		"what": func(r release.Revision) string {
			return strings.TrimSuffix(strings.TrimSuffix(r.Description, " by "+r.Who), ",")
		},
		"commit": func(r release.Revision) string {
			return r.Commit[:min(len(r.Commit), 10)]
		},
		"logsAround": logsAround,
		"levels":     func() []string { return []string{"debug", "info", "warn", "error"} },
		"times":      func() []choice { return choices },
		"sink":       overview.SinkName,
		"lost":       func(s platform.SinkStatus) int64 { return s.Dropped + s.Rejected },
		"number":     number,
		"deref": func(at *time.Time) time.Time {
			if at == nil {
				return time.Time{}
			}
			return *at
		},
	}
}

// stamp is a time as the machine's clock shows it.
func stamp(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.Local().Format("2006-01-02 15:04:05")
}

// age is a time as its distance from now, in words.
func age(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	old := now.Sub(at)
	words := func(n int, unit string) string {
		if n != 1 {
			unit += "s"
		}
		return fmt.Sprintf("%d %s", n, unit)
	}
	suffix := " ago"
	if old < 0 {
		old, suffix = -old, " from now"
	}
	switch {
	case old < 10*time.Second:
		return "just now"
	case old < time.Minute: // in steps, so that a page at rest is at rest
		return words(int(old.Seconds())/10*10, "second") + suffix
	case old < time.Hour:
		return words(int(old.Minutes()), "minute") + suffix
	case old < 48*time.Hour:
		return words(int(old.Hours()), "hour") + suffix
	}
	return words(int(old.Hours()/24), "day") + suffix
}

// number parts thousands.
func number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
