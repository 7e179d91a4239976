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

// records takes apart what [split] cut off: one record, or those of both streams
// when one of them wrote between the lines of the other.
func records(token []byte, into []record) []record {
	var streams [2]struct {
		follower
		// last is where its last record is.
		last int
	}
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
		s := &streams[l.stream]
		switch s.add(l) {
		case begins:
			s.last = len(into)
			// What is appended must not be to the file's own bytes.
			into = append(into, record{parseTime(l.time), l.stream, l.text[:len(l.text):len(l.text)]})
		case continues:
			into[s.last].text = append(into[s.last].text, l.text...)
		case follows:
			into[s.last].text = append(append(into[s.last].text, '\n'), l.text...)
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
