package console

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// LogLine is one line of a pod's log.
type LogLine struct {
	Time time.Time
	Pod  string
	// Level may be empty; Severity is what it means.
	Level    string
	Severity slog.Level
	// Text may have several lines, as a stack trace does.
	Text string
}

// LogLine writes a line of a log to stdout, cleaned, with its level painted by its
// severity, or its text where it has no level. Further lines of the text are
// indented, so that none looks like a line of the log. A day that is not now's is
// named. Only a command that writes without end has to look at the error.
func (c *Console) LogLine(l LogLine, now time.Time) error {
	at, layout := l.Time.Local(), "15:04:05.000"
	if at.Format(time.DateOnly) != now.Local().Format(time.DateOnly) {
		layout = time.DateOnly + " " + layout
	}
	level, lines := "", strings.Split(l.Text, "\n")
	if l.Level != "" {
		level = c.out.severity(l.Severity, fmt.Sprintf("%-5s", Clean(l.Level))) + " "
	}
	for i := range lines {
		if lines[i] = Clean(lines[i]); level == "" {
			lines[i] = c.out.severity(l.Severity, lines[i])
		}
	}
	_, err := fmt.Fprintf(c.Out, "%s %s  %s%s\n", c.out.faint(at.Format(layout)), c.out.strong(Clean(l.Pod)), level, strings.Join(lines, "\n    "))
	return err
}

// severity paints text by how much it matters.
func (s style) severity(of slog.Level, text string) string {
	switch {
	case of < slog.LevelInfo:
		return s.faint(text)
	case of >= slog.LevelError:
		return s.bad(text)
	case of >= slog.LevelWarn:
		return s.warn(text)
	}
	return text
}
