package containerlog

import (
	"bytes"
	"time"
)

// stream is where a container wrote a line to.
type stream uint8

const (
	stdout stream = iota
	stderr
)

func (s stream) String() string {
	if s == stderr {
		return "stderr"
	}
	return "stdout"
}

// line is one line of a log file as the container runtime writes it: a time, the
// stream, P for a part of a longer line or F for its end, and the text. The
// format is that of the CRI: "<RFC 3339 time> stdout F text".
// https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
type line struct {
	time    []byte
	stream  stream
	partial bool
	text    []byte
}

// parseLine reads a line without its newline. It reports false for a line that
// is not in the format.
func parseLine(b []byte) (line, bool) {
	space := bytes.IndexByte(b, ' ')
	// The shortest time has 20 characters, the longest 35.
	if space < 20 || space > 35 || len(b) < space+9 {
		return line{}, false
	}
	l := line{time: b[:space]}
	switch string(b[space+1 : space+8]) {
	case "stdout ":
	case "stderr ":
		l.stream = stderr
	default:
		return line{}, false
	}
	rest := b[space+8:]
	// Tags are joined by colons, and the first says whether the line is whole.
	switch rest[0] {
	case 'F':
	case 'P':
		l.partial = true
	default:
		return line{}, false
	}
	tags := bytes.IndexByte(rest, ' ')
	switch {
	case tags < 0 && len(rest) > 1 && rest[1] != ':', tags > 1 && rest[1] != ':':
		return line{}, false
	case tags >= 0:
		l.text = rest[tags+1:]
	}
	return l, true
}

// next returns the line that begins at an offset and where the one after it does.
func next(data []byte, from int) (text []byte, after int, whole bool) {
	newline := bytes.IndexByte(data[from:], '\n')
	if newline < 0 {
		return nil, 0, false
	}
	return data[from : from+newline], from + newline + 1, true
}

func parseTime(b []byte) time.Time {
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return time.Time{}
	}
	return t
}
