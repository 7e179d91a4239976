package containerlog

import "bytes"

// trace follows the lines of a stack trace, to tell where it ends. Nothing but a
// line that begins one of a known kind has others joined to it.
type trace uint8

const (
	noTrace trace = iota
	goTrace
	pythonTrace
	// pythonException is after the line with the exception, when another may follow
	// that it was raised from, or what a database said.
	pythonException
	// pythonStatement is within SQL of several lines.
	pythonStatement
	// exception is Java's, JavaScript's, .NET's or Ruby's: each of its lines shows that
	// it belongs there.
	exception
	// exceptionFields is within the braces that JavaScript has after an error.
	exceptionFields
	// nodeSource is the place of Node's uncaught exception, nodeError what follows the
	// empty line, and nodeFrames the rest.
	nodeSource
	nodeError
	nodeFrames
	// privateKey is no trace, but has to be seen as a whole to be redacted.
	privateKey
)

func beginTrace(text []byte) trace {
	switch {
	case len(text) == 0 || text[0] == '{':
		return noTrace
	case hasPrefix(text, "panic: "), hasPrefix(text, "fatal error: "), hasPrefix(text, "goroutine "), bytes.Contains(text, []byte("http: panic serving ")):
		return goTrace
	case hasPrefix(text, "Traceback (most recent call last)"), hasPrefix(text, `  File "`), hasPrefix(text, "  + Exception Group Traceback"):
		return pythonTrace
	case bytes.HasSuffix(text, []byte(" PRIVATE KEY-----")) && bytes.Contains(text, []byte("-----BEGIN ")):
		return privateKey
	case isSource(text):
		return nodeSource
	case names(text, "Error"), names(text, "Exception"), names(text, "Throwable"):
		return exception
	}
	return noTrace
}

// goesOn reports whether the next line is of the same trace.
func (t *trace) goesOn(text []byte) bool {
	indented := len(text) > 0 && (text[0] == ' ' || text[0] == '\t')
	switch *t {
	case goTrace:
		return len(text) == 0 || indented || hasPrefix(text, "goroutine ") || hasPrefix(text, "[signal ") || hasPrefix(text, "created by ") ||
			hasPrefix(text, "runtime stack:") || hasPrefix(text, "...additional frames") ||
			hasPrefix(text, "exit status ") || isGoCall(text)
	case pythonTrace:
		if len(text) > 0 && !indented {
			*t = pythonException
		}
		return true
	case pythonException, pythonStatement:
		return t.afterException(text, indented)
	case exception:
		if !isFrame(text, indented) {
			return false
		}
		if text[len(text)-1] == '{' {
			*t = exceptionFields
		}
		return true
	case exceptionFields:
		if hasPrefix(text, "}") {
			*t = exception
			return true
		}
		return indented
	case nodeSource:
		if len(text) == 0 {
			*t = nodeError
		}
		return len(text) == 0 || indented
	case nodeError:
		if len(text) > 0 {
			*t = nodeFrames
		}
		return true
	case nodeFrames:
		return len(text) == 0 || indented || hasPrefix(text, "}") || hasPrefix(text, "Node.js v")
	case privateKey:
		if bytes.Contains(text, []byte("-----END ")) {
			*t = noTrace
			return true
		}
		return bytes.IndexByte(text, ' ') < 0 || hasPrefix(text, "Proc-Type:") || hasPrefix(text, "DEK-Info:")
	}
	return false
}

// afterException takes what Python and its libraries write behind an exception: what
// it was raised from, and what SQLAlchemy and the drivers of databases add.
func (t *trace) afterException(text []byte, indented bool) bool {
	if *t == pythonStatement {
		if len(text) > 0 && text[len(text)-1] == ']' {
			*t = pythonException
		}
		return true
	}
	switch {
	case hasPrefix(text, "Traceback (most recent call last)"):
		*t = pythonTrace
	case hasPrefix(text, "[SQL: "), hasPrefix(text, "[parameters: "):
		if text[len(text)-1] != ']' {
			*t = pythonStatement
		}
	default:
		return len(text) == 0 || indented || hasPrefix(text, "During handling of the above exception") || hasPrefix(text, "The above exception was the direct cause") ||
			hasPrefix(text, "DETAIL:  ") || hasPrefix(text, "HINT:  ") || hasPrefix(text, "CONTEXT:  ") || hasPrefix(text, "LINE ") || hasPrefix(text, "(Background on this error at: ")
	}
	return true
}

// isFrame reports whether a line is one of an exception: "\tat a.B.c(B.java:1)".
func isFrame(text []byte, indented bool) bool {
	if !indented {
		return hasPrefix(text, "Caused by: ")
	}
	text = bytes.TrimLeft(text, " \t")
	return hasPrefix(text, "at ") || hasPrefix(text, "from ") || hasPrefix(text, "... ") || hasPrefix(text, "--- ") || hasPrefix(text, "---> ") ||
		hasPrefix(text, "Caused by: ") || hasPrefix(text, "Suppressed: ")
}

// isSource reports whether a line is the place of a program's source and nothing
// else: "/app/index.js:3", "node:internal/process/promises:288".
func isSource(text []byte) bool {
	if !hasPrefix(text, "/") && !hasPrefix(text, "file://") && !hasPrefix(text, "node:") {
		return false
	}
	colon := bytes.LastIndexByte(text, ':')
	return colon > 0 && colon < len(text)-1 && bytes.IndexByte(text, ' ') < 0 && len(bytes.Trim(text[colon+1:], "0123456789")) == 0
}

// names reports whether a word ends in what is looked for, such as
// java.lang.IllegalStateException.
func names(text []byte, what string) bool {
	for {
		at := bytes.Index(text, []byte(what))
		if at < 0 {
			return false
		}
		text = text[at+len(what):]
		if len(text) == 0 || bytes.IndexByte([]byte(": ,)]["), text[0]) >= 0 {
			return true
		}
	}
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

// follower follows the lines of one stream.
type follower struct {
	// partial says that the last line goes on, and trace what its record may have
	// after it.
	partial bool
	trace   trace
}

// joins says how a line belongs to the record before it in its stream.
type joins uint8

const (
	// begins is a record of its own.
	begins joins = iota
	// continues is the next part of a line, and follows the next line of a trace.
	continues
	follows
)

func (f *follower) add(l line) joins {
	how := begins
	switch {
	case f.partial:
		how = continues
	case f.trace != noTrace && f.trace.goesOn(l.text):
		how = follows
	default:
		f.trace = beginTrace(l.text)
	}
	f.partial = l.partial
	return how
}

// open reports whether more may follow.
func (f *follower) open() bool { return f.partial || f.trace != noTrace }
