package containerlog

import "bytes"

// trace follows the lines of a stack trace, to tell where it ends. Java's and
// JavaScript's are told by their indented lines alone; Go's and Python's also
// have lines that begin at the margin.
type trace uint8

const (
	noTrace trace = iota
	goTrace
	pythonTrace
	// pythonException is after the line with the exception, when another may
	// follow that it was raised from.
	pythonException
)

func beginTrace(text []byte) trace {
	switch {
	case hasPrefix(text, "panic: "), hasPrefix(text, "fatal error: "), hasPrefix(text, "goroutine "), bytes.Contains(text, []byte("http: panic serving ")):
		return goTrace
	case hasPrefix(text, "Traceback (most recent call last)"):
		return pythonTrace
	}
	return noTrace
}

// goesOn reports whether the next line is of the same record.
func (t *trace) goesOn(text []byte) bool {
	if len(text) == 0 {
		return *t != noTrace
	}
	if text[0] == ' ' || text[0] == '\t' || hasPrefix(text, "Caused by: ") || hasPrefix(text, "Suppressed: ") {
		return true
	}
	switch *t {
	case goTrace:
		return hasPrefix(text, "goroutine ") || hasPrefix(text, "[signal ") || hasPrefix(text, "created by ") ||
			hasPrefix(text, "runtime stack:") || hasPrefix(text, "...additional frames") ||
			hasPrefix(text, "exit status ") || isGoCall(text)
	case pythonTrace:
		*t = pythonException
		return true
	case pythonException:
		if hasPrefix(text, "Traceback (most recent call last)") {
			*t = pythonTrace
			return true
		}
		return hasPrefix(text, "During handling of the above exception") || hasPrefix(text, "The above exception was the direct cause")
	}
	return false
}

// isGoCall reports whether a line names a call as Go's traces do, such as
// "net/http.(*conn).serve(0xc000120000, {0x7f5c40, 0xc00008e0f0})".
func isGoCall(text []byte) bool {
	if text[len(text)-1] != ')' {
		return false
	}
	name := text[:bytes.IndexByte(text, '(')+1]
	return len(name) > 1 && bytes.IndexByte(name, ' ') < 0 && (bytes.IndexByte(name, '.') > 0 || string(name) == "panic(")
}

func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}
