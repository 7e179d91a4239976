// Package logs has the log lines of an environment. Package release reads them from
// running pods, this package reads them from the archive in the bucket.
//
// A [Line] is the same from both, because the log agent and [Parse] both parse a
// container's text by package logline. [Query] selects lines, [Merge] sorts several
// logs by time, and [Archive] reads the objects in the bucket, whose format is in
// docs/logs.md.
package logs

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"berth/internal/fault"
	"berth/logline"
)

// Line is one line of a container's log; a stack trace in the archive is one, too.
type Line struct {
	// Time is when the container runtime took it.
	Time time.Time `json:"time"`
	// Level is the program's word for it, in capitals; empty for none.
	Level string `json:"level,omitempty"`
	// Message is the message of a line in JSON, and any other line whole.
	Message   string `json:"message"`
	Pod       string `json:"pod"`
	Node      string `json:"node,omitempty"`
	Container string `json:"container"`
	// Fields are the other members of a line in JSON, in their order.
	Fields Fields `json:"fields,omitempty"`
}

// Container is whose log a line stands in.
type Container struct{ Pod, Name string }

// Of returns the container that wrote the line.
func (l Line) Of() Container { return Container{l.Pod, l.Container} }

// Held says since when each container's lines are still in the cluster. What has
// no time there has no line there.
type Held map[Container]time.Time

// Has reports whether a line is still in the cluster.
func (h Held) Has(l Line) bool {
	since, some := h[l.Of()]
	return some && !l.Time.Before(since)
}

// Oldest is the time of the oldest line that is still in the cluster, or zero.
func (h Held) Oldest() time.Time {
	var oldest time.Time
	for _, since := range h {
		if oldest.IsZero() || since.Before(oldest) {
			oldest = since
		}
	}
	return oldest
}

// Query chooses lines. Its zero value takes all.
type Query struct {
	// From and Until are the first and the last time; zero for no bound.
	From, Until time.Time
	// Grep must match [Line.Text]; nil takes every text.
	Grep *regexp.Regexp
	// Level is the least that is taken, such as "warn"; empty takes all. A line
	// without a level, as of a crash, is always taken.
	Level string
}

// Pattern compiles a regular expression (https://pkg.go.dev/regexp/syntax) for
// [Query.Grep].
func Pattern(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, fault.Usage("the pattern %q is not a regular expression: %w", text, err)
	}
	return pattern, nil
}

// Validate reports whether the query can be meant.
func (q Query) Validate() error {
	if q.Level != "" && logline.SeverityOf(q.Level) == logline.Unknown {
		return fault.Usage("there is no level %q; there are debug, info, warn and error", q.Level)
	}
	if !q.Until.IsZero() && q.Until.Before(q.From) {
		return fault.Usage("no line is both since %s and until %s", q.From.Format(time.RFC3339), q.Until.Format(time.RFC3339))
	}
	return nil
}

// Takes reports whether a line is wanted.
func (q Query) Takes(l Line) bool {
	return q.covers(l.Time) && q.takesLevel(l.Level) && (q.Grep == nil || q.Grep.MatchString(l.Text()))
}

func (q Query) covers(at time.Time) bool {
	return !at.Before(q.From) && (q.Until.IsZero() || !at.After(q.Until))
}

func (q Query) takesLevel(name string) bool {
	if q.Level == "" {
		return true
	}
	level := logline.SeverityOf(name)
	return level == logline.Unknown || level >= logline.SeverityOf(q.Level)
}

// word is a run of characters that stand in JSON as they do in [Line.Text].
var word = regexp.MustCompile(`[A-Za-z0-9_-]+`)

// needles are texts. An archived line that Grep matches has at least one of them.
// The empty one, where none is known, is in every line.
func (q Query) needles() [][]byte {
	if q.Grep == nil {
		return [][]byte{{}}
	}
	parsed, err := syntax.Parse(q.Grep.String(), syntax.Perl)
	if err != nil {
		return [][]byte{{}} // it was compiled once
	}
	var needles [][]byte
	for _, one := range required(parsed) {
		needles = append(needles, []byte(one))
		if small := strings.ToLower(one); one != small && one == strings.ToUpper(one) {
			// It may be the level, which has capitals only here.
			needles = append(needles, []byte(small))
		}
	}
	if len(needles) == 0 {
		return [][]byte{{}}
	}
	return needles
}

// mostNeedles bounds how many texts are looked for before lines are taken apart.
const mostNeedles = 16

// required returns words of which one is in whatever an expression matches, or none.
func required(expression *syntax.Regexp) []string {
	switch expression.Op {
	case syntax.OpLiteral:
		if expression.Flags&syntax.FoldCase != 0 {
			return nil
		}
		words := word.FindAllString(string(expression.Rune), -1)
		if len(words) == 0 {
			return nil
		}
		return []string{slices.MaxFunc(words, func(a, b string) int { return cmp.Compare(len(a), len(b)) })}
	case syntax.OpCapture, syntax.OpPlus:
		return required(expression.Sub[0])
	case syntax.OpRepeat:
		if expression.Min > 0 {
			return required(expression.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, part := range expression.Sub {
			if found := required(part); found != nil && shortest(found) > shortest(best) {
				best = found
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, branch := range expression.Sub {
			found := required(branch)
			if found == nil {
				return nil
			}
			all = append(all, found...)
		}
		if len(all) <= mostNeedles {
			return all
		}
	}
	return nil
}

// shortest is the length of the shortest of some words, 0 of none.
func shortest(words []string) int {
	if len(words) == 0 {
		return 0
	}
	return len(slices.MinFunc(words, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
}

// Text is a short form of the line: level, message, and the fields as key=value. A
// line that is not JSON, or has no message, stays as the program wrote it.
func (l Line) Text() string {
	level, rest := l.Parts()
	if level == "" {
		return rest
	}
	return fmt.Sprintf("%-5s %s", level, rest)
}

// Parts are those of [Line.Text]: the level, empty where it stands in the text
// itself, and the rest.
func (l Line) Parts() (level, text string) {
	if strings.HasPrefix(l.Message, "{") && l.Fields.whole(l.Message) {
		return "", l.Message
	}
	if level = l.Level; len(l.Fields) == 0 && logline.LevelOf(l.Message) == level {
		level = ""
	}
	var b strings.Builder
	b.WriteString(l.Message)
	for _, f := range l.Fields {
		// The runtime's time stands in front already.
		if f.Name != "time" {
			b.WriteString(" " + f.Name + "=" + f.text())
		}
	}
	return level, b.String()
}

// sum tells lines of one container and time apart.
func (l Line) sum() [sha256.Size]byte {
	h := sha256.New()
	add := func(texts ...string) {
		for _, text := range texts {
			fmt.Fprintf(h, "%d:%s", len(text), text) // A hash takes everything.
		}
	}
	add(l.Node, l.Level, l.Message)
	for _, f := range l.Fields {
		add(f.Name, string(f.Value))
	}
	return [sha256.Size]byte(h.Sum(nil))
}
