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
	// pythonGroup is a group of exceptions, drawn as a tree.
	pythonGroup
	// exception is Java's, JavaScript's, .NET's or Ruby's: each of its lines shows that
	// it belongs there. exceptionHead is behind the first, which may be what a program in
	// Python says before a trace: "Exception in ASGI application".
	exceptionHead
	exception
	// exceptionFields is within the braces that JavaScript has after an error.
	exceptionFields
	// nodeSource is the place of Node's uncaught exception, nodeError what follows the
	// empty line, and nodeFrames the rest.
	nodeSource
	nodeError
	nodeFrames
	// rubyTrace is an uncaught exception of Ruby, which shows its source too.
	rubyTrace
	// rustPanic is before a panic's message, and rustNotes behind it.
	rustPanic
	rustNotes
	phpTrace
	elixirTrace
	// dotnetRecord is what .NET's console logger writes below a line of level and category.
	dotnetRecord
	// postgresRecord is one of PostgreSQL's, which begins further lines with a tab.
	postgresRecord
	// indentedTrace is of C++, sanitizers and Haskell: whatever is indented.
	indentedTrace
	// privateKey is no trace, but has to be seen as a whole to be redacted.
	privateKey
)

func beginTrace(text []byte) trace {
	switch {
	case len(text) == 0 || text[0] == '{':
		return noTrace
	case hasPrefix(text, "panic: "), hasPrefix(text, "fatal error: "), hasPrefix(text, "goroutine "), hasPrefix(text, "SIGQUIT: "), hasPrefix(text, "SIGABRT: "),
		hasPrefix(text, "SIGSEGV: "), bytes.Contains(text, []byte("http: panic serving ")):
		return goTrace
	case hasPrefix(text, "Traceback (most recent call last)"), hasPrefix(text, `  File "`):
		return pythonTrace
	case hasPrefix(text, "  + Exception Group Traceback"):
		return pythonGroup
	case text[len(text)-1] == '-' && bytes.Contains(text, []byte("BEGIN ")) && bytes.Contains(text, []byte("PRIVATE KEY")):
		return privateKey
	case isSource(text):
		return nodeSource
	case isDotnet(text):
		return dotnetRecord
	case hasPrefix(text, "thread '") && bytes.Contains(text, []byte(" panicked at ")):
		if text[len(text)-1] != ':' {
			return rustNotes // before Rust 1.73 the message came first
		}
		return rustPanic
	case text[len(text)-1] == ')' && bytes.Contains(text, []byte(".rb")) && bytes.Contains(text, []byte(":in ")):
		return rubyTrace
	case bytes.Contains(text, []byte("Fatal error: ")) && bytes.Contains(text, []byte("Uncaught ")), bytes.Contains(text, []byte(`{"exception":"[object] (`)) && text[len(text)-1] == ')':
		return phpTrace
	case hasPrefix(text, "** ("), bytes.HasSuffix(text, []byte(" terminating")) && bytes.Contains(text, []byte("[error]")):
		return elixirTrace
	case text[0] >= '0' && text[0] <= '9' && isPostgres(text):
		return postgresRecord
	case hasPrefix(text, "terminate called "), hasPrefix(text, "*** ") && bytes.HasSuffix(text, []byte(" ***")), hasPrefix(text, "CallStack (from HasCallStack)"),
		bytes.Contains(text, []byte("==ERROR: ")):
		return indentedTrace
	case text[len(text)-1] == '{' && (names(text, "Error") || names(text, "Exception")):
		return exceptionFields
	case names(text, "Error"), names(text, "Exception"), names(text, "Throwable"):
		return exceptionHead
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
			hasPrefix(text, "exit status ") || hasPrefix(text, "PC=") || isRegister(text) || isGoCall(text)
	case pythonTrace:
		if len(text) > 0 && !indented {
			*t = pythonException
		}
		return true
	case pythonException, pythonStatement:
		return t.afterException(text, indented)
	case pythonGroup:
		return indented
	case exceptionHead, exception:
		if *t == exceptionHead && hasPrefix(text, "Traceback (most recent call last)") {
			*t = pythonTrace
			return true
		}
		*t = exception
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
	case rubyTrace:
		return len(text) == 0 || indented || text[len(text)-1] == ')' && bytes.Contains(text, []byte(".rb")) && bytes.Contains(text, []byte(":in "))
	case rustPanic:
		*t = rustNotes
		return true
	case rustNotes:
		return indented || hasPrefix(text, "note: ") || hasPrefix(text, "stack backtrace:")
	case phpTrace:
		return len(text) == 0 || hasPrefix(text, "#") || hasPrefix(text, "Stack trace:") || hasPrefix(text, "[stacktrace]") || hasPrefix(text, "[previous exception]") ||
			hasPrefix(text, "  thrown in ") || hasPrefix(text, "Next ") || hasPrefix(text, `"}`)
	case elixirTrace:
		return indented || hasPrefix(text, "** (") || hasPrefix(text, "Last message") || hasPrefix(text, "State: ") || hasPrefix(text, "Message: ") ||
			hasPrefix(text, "Function: ") || hasPrefix(text, "Initial Call: ") || hasPrefix(text, "Ancestors: ")
	case dotnetRecord:
		return hasPrefix(text, "      ")
	case postgresRecord:
		return hasPrefix(text, "\t")
	case indentedTrace:
		return indented || hasPrefix(text, "PC: @") || hasPrefix(text, "SUMMARY: ")
	case privateKey:
		if bytes.Contains(text, []byte("-----END ")) {
			*t = noTrace
			return true
		}
		return bytes.IndexByte(text, ' ') < 0 || hasPrefix(text, "Proc-Type:") || hasPrefix(text, "DEK-Info:") || hasPrefix(text, "Version: ") || hasPrefix(text, "Comment: ")
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
		return hasPrefix(text, "Caused by: ") || hasPrefix(text, "--- End of stack trace ")
	}
	tab := text[0] == '\t'
	text = bytes.TrimLeft(text, " \t")
	return hasPrefix(text, "at ") && (tab || bytes.ContainsAny(text, "(:")) || hasPrefix(text, "[CIRCULAR REFERENCE") || hasPrefix(text, "from ") || hasPrefix(text, "... ") || hasPrefix(text, "--- ") || hasPrefix(text, "---> ") ||
		hasPrefix(text, "Caused by: ") || hasPrefix(text, "Suppressed: ")
}

// isDotnet reports whether a line is the head of a record of .NET's console logger:
// "fail: Microsoft.AspNetCore.Server.Kestrel[13]".
func isDotnet(text []byte) bool {
	const level = len("info: ")
	if len(text) <= level || text[len(text)-1] != ']' || text[4] != ':' || text[5] != ' ' {
		return false
	}
	switch string(text[:4]) {
	case "trce", "dbug", "info", "warn", "fail", "crit":
	default:
		return false
	}
	open := bytes.LastIndexByte(text, '[')
	return open > level && len(bytes.Trim(text[open+1:len(text)-1], "0123456789-")) == 0 && bytes.IndexByte(text[level:open], ' ') < 0
}

// isPostgres reports whether a line has one of PostgreSQL's levels, which two blanks follow.
func isPostgres(text []byte) bool {
	const near = 120
	text = text[:min(len(text), near)]
	at := bytes.Index(text, []byte(":  "))
	if at < 0 {
		return false
	}
	for _, level := range []string{"ERROR", "STATEMENT", "DETAIL", "CONTEXT", "QUERY", "LOG", "FATAL", "WARNING", "NOTICE", "INFO", "HINT"} {
		if bytes.HasSuffix(text[:at], []byte(" "+level)) {
			return true
		}
	}
	return false
}

// isRegister reports whether a line is one of a processor's registers: "rax    0xca".
func isRegister(text []byte) bool {
	name, value, ok := bytes.Cut(text, []byte(" "))
	value = bytes.TrimLeft(value, " ")
	return ok && len(name) <= len("fault") && hasPrefix(value, "0x") && bytes.IndexByte(value, ' ') < 0
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
