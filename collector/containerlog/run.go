package containerlog

// maxRun bounds a run, unless a single record is longer.
const maxRun = 8 << 10

// splitRun is a [bufio.SplitFunc] that cuts a run of records from a log file: as
// many as there are and as maxRun has room for. The reader of files passes on a
// hundred tokens at once, and a queue takes a few large requests for half of what
// many small ones cost.
func splitRun(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for advance < maxRun {
		record, _, err := split(data[advance:], atEOF)
		if err != nil {
			return 0, nil, err
		}
		if record == 0 || advance > 0 && advance+record > maxRun {
			break
		}
		advance += record
	}
	if advance == 0 {
		return 0, nil, nil
	}
	return advance, data[:advance], nil
}

// cut takes the first record off a run. The last one is what is left: what told
// [split] where it ends is not in the run any more.
func cut(run []byte) (record, rest []byte) {
	if len(run) <= maxRun {
		// It does not fail, as it did not when the run was cut.
		if n, _, err := split(run, true); err == nil && n > 0 {
			return run[:n], run[n:]
		}
	}
	return run, nil
}
