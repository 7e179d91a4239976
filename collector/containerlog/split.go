package containerlog

import "time"

// maxRecord bounds one record, so that a container that never ends a line, or a
// trace without an end, is passed on in pieces of that many bytes.
const maxRecord = 1 << 20

// patience is how much later a stream may write while the other one has not ended
// its line.
const patience = time.Second

// split is a [bufio.SplitFunc] that cuts a log file into records: a line with
// all its parts, or a stack trace with all its lines. Where one stream wrote into
// what the other had begun, it cuts off what both wrote; [records] tells them apart.
//
// Joining here, and not behind the reader, is what keeps kill -9 from losing
// lines: the reader's place in the file, which survives, moves past a record
// only when that record was given away whole. A record whose end cannot be known
// yet stays in the file until more is written, or until the reader's flush
// period is over. A stream that does not end its line does not hold the other one
// back for longer than that, either.
func split(data []byte, _ bool) (advance int, token []byte, err error) {
	first, end, whole := next(data, 0)
	if !whole {
		return tooLong(data, 0)
	}
	l, ok := parseLine(first)
	if !ok {
		return end, data[:end], nil
	}
	var streams [2]follower
	streams[l.stream].add(l)
	begin, both := l, false
	for streams[stdout].open() || streams[stderr].open() {
		text, after, whole := next(data, end)
		if !whole {
			return tooLong(data, end)
		}
		following, ok := parseLine(text)
		if !ok || after > maxRecord {
			break
		}
		both = both || following.stream != begin.stream
		if both && parseTime(following.time).Sub(parseTime(begin.time)) > patience {
			break
		}
		if how := streams[following.stream].add(following); how == begins && !streams[1-following.stream].open() {
			break // the trace has ended
		}
		end = after
	}
	return end, data[:end], nil
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
