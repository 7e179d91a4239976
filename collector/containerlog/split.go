package containerlog

import "bytes"

// maxRecord bounds one record, so that a container that never ends a line, or a
// trace that goes on forever, is passed on in pieces of that many bytes.
const maxRecord = 1 << 20

// split is a [bufio.SplitFunc] that cuts a log file into records: a line with
// all its parts, or a stack trace with all its lines.
//
// Joining here, and not behind the reader, is what keeps kill -9 from losing
// lines: the reader's place in the file, which survives, moves past a record
// only when that record was given away whole. A record whose end cannot be known
// yet stays in the file until more is written, or until the reader's flush
// period is over.
func split(data []byte, _ bool) (advance int, token []byte, err error) {
	first, end, whole := next(data, 0)
	if !whole {
		return tooLong(data, 0)
	}
	current, ok := parseLine(first)
	if !ok {
		return end, data[:end], nil
	}
	open := [2]bool{stdout: false, stderr: false}
	open[current.stream] = current.partial
	start, both := current, false
	trace := beginTrace(current.text)
	for {
		closed := !open[stdout] && !open[stderr]
		if closed && (both || isObject(start, current)) {
			return end, data[:end], nil
		}
		text, after, whole := next(data, end)
		if !whole {
			return tooLong(data, end)
		}
		following, ok := parseLine(text)
		switch {
		case !ok || after > maxRecord:
			return end, data[:end], nil
		case !closed:
			both = both || following.stream != start.stream
			open[following.stream] = following.partial
		case following.stream != start.stream || !trace.goesOn(following.text):
			return end, data[:end], nil
		default:
			open[following.stream] = following.partial
		}
		current, end = following, after
	}
}

// next returns the line that begins at an offset and where the one after it does.
func next(data []byte, from int) (text []byte, after int, whole bool) {
	newline := bytes.IndexByte(data[from:], '\n')
	if newline < 0 {
		return nil, 0, false
	}
	return data[from : from+newline], from + newline + 1, true
}

// tooLong asks for more data, unless there is too much already: then it gives
// what is complete, or else everything.
func tooLong(data []byte, complete int) (int, []byte, error) {
	switch {
	case len(data) < maxRecord:
		return 0, nil, nil
	case complete > 0:
		return complete, data[:complete], nil
	default:
		return len(data), data, nil
	}
}

// isObject reports whether a record looks like a whole JSON object: nothing
// follows that belongs to it, so there is no need to wait.
func isObject(first, last line) bool {
	return len(first.text) > 0 && first.text[0] == '{' && len(last.text) > 0 && last.text[len(last.text)-1] == '}'
}
