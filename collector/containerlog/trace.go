package containerlog

import "bytes"

// trace follows the lines of a stack trace, to tell where it ends. Nothing but a
// line that begins one of a known kind has others joined to it.
type trace uint8

const (
	noTrace trace = iota
	goTrace
	// goFrames are behind an error that Zap logged.
	goFrames
	pythonTrace
	// pythonException is after the line with the exception, when another may follow
	// that it was raised from, or what a database said.
	pythonException
	// pythonStatement is within SQL of several lines.
	pythonStatement
	// exception is Java's, JavaScript's, .NET's, Dart's or Ruby's: each of its lines shows
	// that it belongs there. exceptionHead is behind the first, which may be what a program
	// in Python says before a trace: "Exception in ASGI application".
	exceptionHead
	exception
	// exceptionFields is within the braces that JavaScript has after an error.
	exceptionFields
	// exceptionCause is behind an empty line, when what Rust says of causes may follow.
	exceptionCause
	// exceptionMessage is before the message, and exceptionText within one of Prisma's.
	exceptionMessage
	exceptionText
	// nodeSource is the place of Node's uncaught exception, nodeError what follows the
	// empty line. bunSource and denoSource are the lines of the source, up to a mark.
	nodeSource
	nodeError
	bunSource
	denoSource
	// rubyTrace is an uncaught exception of Ruby, which shows its source too.
	rubyTrace
	// rustPanic is before a panic's message, and rustNotes behind it.
	rustPanic
	// privateKey is no trace, but has to be seen as a whole to be redacted.
	privateKey

	// These are forms.
	// pythonGroup is a group of exceptions, drawn as a tree, and pythonThreads a crash.
	pythonGroup
	pythonThreads
	richTrace
	nodeFrames
	nodeMemory
	rustNotes
	// rustReport is of an error with its causes, by anyhow or eyre.
	rustReport
	phpTrace
	elixirTrace
	erlangReport
	// dotnetRecord is what .NET's console logger writes below a line of level and category.
	dotnetRecord
	// postgresRecord is one of PostgreSQL's, which begins further lines with a tab.
	postgresRecord
	// indentedTrace is of C++, sanitizers, Haskell and Clojure: whatever is indented.
	indentedTrace
	haskellError
	swiftReport
	// springReport is why an application of Spring's did not start.
	springReport
	javaCrash
	goRace
	ocamlTrace
	juliaTrace
	luaTrace
	perlTrace
	rTrace
	powershell
	traces
)

func beginTrace(text []byte) trace {
	if len(text) == 0 || text[0] == '{' {
		return noTrace
	}
	if t := beginForm(text); t != noTrace {
		return t
	}
	last := text[len(text)-1]
	switch {
	case hasPrefix(text, "panic: "), hasPrefix(text, "fatal error: "), hasPrefix(text, "goroutine "), hasPrefix(text, "SIGQUIT: "), hasPrefix(text, "SIGABRT: "),
		hasPrefix(text, "SIGSEGV: "), contains(text, "http: panic serving "):
		return goTrace
	case bytes.IndexByte(text, '\t') > 0 && (contains(text, "\tERROR\t") || contains(text, "\tDPANIC\t")):
		return goFrames
	case hasPrefix(text, "Traceback (most recent call last)"), hasPrefix(text, `  File "`):
		return pythonTrace
	case hasPrefix(text, "╭") && contains(text, " Traceback (most recent call last) "):
		return richTrace
	case last == '-' && contains(text, "BEGIN ") && contains(text, "PRIVATE KEY"):
		return privateKey
	case isSource(text):
		return nodeSource
	case isNumbered(text):
		return bunSource
	case hasPrefix(text, "error: Uncaught "):
		return denoSource
	case isDotnet(text):
		return dotnetRecord
	case hasPrefix(text, "thread '") && contains(text, " panicked at "):
		if last != ':' {
			return rustNotes // before Rust 1.73 the message came first
		}
		return rustPanic
	case last == ')' && isRuby(text):
		return rubyTrace
	case contains(text, "Fatal error: ") && contains(text, "Uncaught "), last == ')' && contains(text, `{"exception":"[object] (`):
		return phpTrace
	case isElixir(text):
		return elixirTrace
	case contains(text, ".lua:") && contains(text, "[error] "):
		return luaTrace
	case text[0] >= '0' && text[0] <= '9' && isPostgres(text):
		return postgresRecord
	case hasPrefix(text, "*** ") && bytes.HasSuffix(text, []byte(" ***")), text[0] == '=' && contains(text, "==ERROR: "):
		return indentedTrace
	case last == ':' && contains(text, ": Uncaught exception "):
		return haskellError
	case last == ' ' && contains(text, "LoggingFailureAnalysisReporter "):
		return springReport
	case string(text) == "#":
		return javaCrash
	case last == '.' && contains(text, " at ") && isPerl(text):
		return perlTrace
	case hasPrefix(text, "Error in ") && (contains(text, ") : ") || contains(text, "`:")):
		return rTrace
	case contains(text, ".ps1:") && (last >= '0' && last <= '9'):
		return powershell
	case string(text) == "Unhandled exception:":
		return exceptionMessage
	case last == '{' && (names(text, "Error") || names(text, "Exception")):
		return exceptionFields
	case names(text, "Error"), names(text, "Exception"), names(text, "Throwable"), hasPrefix(text, "ERROR: "), hasPrefix(text, "Trace: "):
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
	case goFrames:
		return hasPrefix(text, "\t/") || isGoName(text)
	case pythonTrace:
		if len(text) > 0 && !indented && !hasPrefix(text, "> File ") { // Loguru marks a frame
			*t = pythonException
		}
		return true
	case pythonException, pythonStatement:
		return t.afterException(text, indented)
	case exceptionHead, exception, exceptionCause:
		return t.inException(text, indented)
	case exceptionFields:
		if hasPrefix(text, "}") {
			*t = exception
			return true
		}
		return indented
	case exceptionMessage:
		*t = exception
		return true
	case exceptionText:
		if isFrame(text, indented) {
			*t = exceptionHead
			return t.inException(text, indented)
		}
		return len(text) == 0 || text[0] != '{' && (text[0] < '0' || text[0] > '9')
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
	case bunSource:
		if indented && len(bytes.Trim(text, " ^")) == 0 {
			*t = nodeError
			return true
		}
		return isNumbered(bytes.TrimLeft(text, " "))
	case denoSource:
		if isFrame(text, indented) {
			*t = exception
		}
		return hasPrefix(text, "    ")
	case rubyTrace:
		return len(text) == 0 || indented || text[len(text)-1] == ')' && isRuby(text)
	case rustPanic:
		*t = rustNotes
		return true
	case privateKey:
		if contains(text, "-----END ") {
			*t = noTrace
			return true
		}
		return bytes.IndexByte(text, ' ') < 0 || hasPrefix(text, "Proc-Type:") || hasPrefix(text, "DEK-Info:") || hasPrefix(text, "Version: ") || hasPrefix(text, "Comment: ")
	}
	return t.followsForm(text, indented)
}

// inException takes what follows the line that names an exception.
func (t *trace) inException(text []byte, indented bool) bool {
	before := *t
	*t = exception
	switch {
	case before != exception && (hasPrefix(text, "Caused by:") && len(text) == len("Caused by:") || hasPrefix(text, "Stack backtrace:") || hasPrefix(text, "Location:")), before == exceptionHead && indented && isNumber(text):
		*t = rustReport
		return true
	case before == exceptionCause:
		return false
	case len(text) == 0:
		*t = exceptionCause
		return before == exceptionHead
	case before == exceptionHead && hasPrefix(text, "Traceback (most recent call last)"):
		*t = pythonTrace
		return true
	case before == exceptionHead && hasPrefix(text, "Invalid `"):
		*t = exceptionText
		return true
	case hasPrefix(text, "Stack trace:"):
		*t = phpTrace
		return true
	case hasPrefix(text, "Stacktrace:"):
		*t = juliaTrace
		return true
	case !isFrame(text, indented):
		return false
	}
	if text[len(text)-1] == '{' {
		*t = exceptionFields
	}
	return true
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
		return hasPrefix(text, "Caused by: ") || hasPrefix(text, "--- End of stack trace ") || hasPrefix(text, "#") && isNumber(text[1:]) || hasPrefix(text, "<asynchronous suspension>") || isRuby(text)
	}
	tab := text[0] == '\t'
	text = bytes.TrimLeft(text, " \t")
	return hasPrefix(text, "at ") && (tab || bytes.ContainsAny(text, "(:")) || hasPrefix(text, "[CIRCULAR REFERENCE") || hasPrefix(text, "from ") || hasPrefix(text, "... ") || hasPrefix(text, "--- ") || hasPrefix(text, "---> ") ||
		hasPrefix(text, "Caused by: ") || hasPrefix(text, "Suppressed: ") ||
		hasPrefix(text, "Detail: ") || hasPrefix(text, "Hint: ") || hasPrefix(text, "Where: ") || hasPrefix(text, "Position: ") // PostgreSQL's, in Java
}

// isNumber reports whether a line begins with a number and a sign behind it, as frames
// and causes in Rust do: "   0: boom", "#1      main".
func isNumber(text []byte) bool {
	text = bytes.TrimLeft(text, " ")
	rest := bytes.TrimLeft(text, "0123456789")
	return len(rest) > 0 && len(rest) < len(text) && (rest[0] == ':' || rest[0] == ' ')
}

// isNumbered reports whether a line is one of a source as Bun shows it: "2 | f()".
func isNumbered(text []byte) bool {
	rest := bytes.TrimLeft(text, "0123456789")
	return len(rest) < len(text) && (hasPrefix(rest, " | ") || string(rest) == " |")
}

// isRuby reports whether a line is a place in Ruby: "/app/a.rb:3:in 'f'".
func isRuby(text []byte) bool {
	return (contains(text, ".rb") || contains(text, ".ru:")) && contains(text, ":in ")
}

// isPerl reports whether a line ends as Perl's messages do: "boom at a.pl line 3."
func isPerl(text []byte) bool {
	at := bytes.LastIndex(text, []byte(" line "))
	return at > 0 && len(text)-1 > at+len(" line ") && len(bytes.Trim(text[at+len(" line "):len(text)-1], "0123456789")) == 0
}

// isGoName reports whether a line is the name of a function in Go and nothing else.
func isGoName(text []byte) bool {
	return len(text) > 0 && (text[0]|0x20 >= 'a' && text[0]|0x20 <= 'z') && bytes.IndexByte(text, '.') > 0 && !bytes.ContainsAny(text, " \t=:\"'{")
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

// isElixir reports whether a line says in Elixir's log that a process failed.
func isElixir(text []byte) bool {
	return contains(text, "[error] ") && (contains(text, "[error] ** (") || bytes.HasSuffix(text, []byte(" terminating")) ||
		bytes.HasSuffix(text, []byte(" terminated")) || bytes.HasSuffix(text, []byte(" raised an exception")))
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
