package containerlog

import (
	"bytes"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"berth/collector/structure"
)

// record is what a container wrote in one go: a line, or a trace.
type record struct {
	// time is when the runtime took its first line, or zero when the file does
	// not say.
	time   time.Time
	stream stream
	text   []byte
}

// records takes apart what [split] cut off: one record, or one for each stream
// when the other one's line came between the parts of a line.
func records(token []byte, into []record) []record {
	var assembled [2]struct {
		record
		there, partial bool
	}
	order := [2]stream{stdout, stderr}
	for first := true; len(token) > 0; first = false {
		text, after, whole := next(token, 0)
		if !whole {
			text, after = token, len(token)
		}
		token = token[after:]
		l, ok := parseLine(text)
		if !ok {
			into = append(into, record{text: bytes.TrimSuffix(text, []byte("\r"))})
			continue
		}
		if first && len(token) == 0 {
			return append(into, record{parseTime(l.time), l.stream, l.text})
		}
		a := &assembled[l.stream]
		switch {
		case !a.there:
			a.there, a.record = true, record{parseTime(l.time), l.stream, bytes.Clone(l.text)}
			if !assembled[1-l.stream].there {
				order = [2]stream{l.stream, 1 - l.stream}
			}
		case a.partial:
			a.text = append(a.text, l.text...)
		default:
			a.text = append(append(a.text, '\n'), l.text...)
		}
		a.partial = l.partial
	}
	for _, s := range order {
		if assembled[s].there {
			into = append(into, assembled[s].record)
		}
	}
	return into
}

// putTo makes a log record, whose body is the text without its secrets. What the
// text says is for each sink to find out.
func (r record) putTo(to plog.LogRecord, parser *structure.Parser, observed time.Time) {
	when := r.time
	if when.IsZero() {
		when = observed
	}
	to.SetTimestamp(pcommon.NewTimestampFromTime(when))
	to.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
	to.Body().SetStr(parser.Redact(strings.ToValidUTF8(string(r.text), "\uFFFD")))
	to.Attributes().PutStr("log.iostream", r.stream.String())
}

func parseTime(b []byte) time.Time {
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return time.Time{}
	}
	return t
}
