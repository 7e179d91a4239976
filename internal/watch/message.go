package watch

import (
	"fmt"
	"strings"
	"time"

	"berth/internal/alert"
)

const (
	// mostLog is how many lines of a log a message has, longestLine what it
	// has of a line, longestReason of what Kubernetes says, and longestText is the
	// most in all, in characters.
	mostLog       = 12
	longestLine   = 240
	longestReason = 500
	longestText   = 2000
)

// write makes a message of a change. Whatever it quotes has no power in it.
func write(c Change, cluster string, now time.Time) alert.Message {
	where := c.Namespace
	if where == "" {
		where = cluster
	}
	var b strings.Builder
	if c.Healed {
		fmt.Fprintf(&b, "since %s; it was told at %s", clock(c.Gone), clock(c.Told))
		return alert.Message{Title: title("✓ " + where + ": healed: " + c.Title), Text: b.String()}
	}
	line(&b, "", c.Problem.Detail, longestReason)
	for _, r := range c.Problem.Reasons {
		line(&b, "", r.String(), longestReason)
		log := r.Log
		if more := len(log) - mostLog; more > 0 {
			log = log[more:]
		}
		for _, text := range log {
			line(&b, "    ", text, longestLine)
		}
		line(&b, "hint: ", r.Hint, longestLine)
	}
	fmt.Fprintf(&b, "seen at %s, told at %s", clock(c.Since), clock(now))
	return alert.Message{Title: title("✗ " + where + ": " + c.Problem.Title), Text: cut(b.String())}
}

// title is one line, as it is the subject of a mail: what came from elsewhere, as the
// hosts of a certificate, must not begin another header.
func title(text string) string {
	return shorten(strings.Join(strings.Fields(alert.Plain(text)), " "), longestLine)
}

// line writes a line of a message, unless there is nothing in it.
func line(b *strings.Builder, before, text string, most int) {
	if text == "" {
		return
	}
	text = strings.TrimRight(alert.Plain(text), "\n ")
	b.WriteString(before + shorten(strings.ReplaceAll(text, "\n", " "), most) + "\n")
}

// cut keeps the beginning and the end of what is too long.
func cut(text string) string {
	runes := []rune(text)
	if len(runes) <= longestText {
		return text
	}
	return string(runes[:longestText/2]) + "\n…\n" + string(runes[len(runes)-longestText/2:])
}

func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func clock(at time.Time) string { return at.UTC().Format("15:04:05 UTC") }
