package containerlog

import (
	"bytes"
	"slices"
)

// A form is how a kind of trace is written whose lines show by themselves that they
// belong to it.
type form struct {
	// begins are beginnings of the first line, and follows those of others.
	begins, follows []string
	// indented, empty and other lines may follow, too: other lines are all that do not
	// begin a record of a log, with a time or an object.
	indented, empty, other bool
	// until is how the last line begins. A program that writes such a trace ends.
	until string
	// then is what comes behind the last line.
	then trace
}

var forms = [traces]form{
	pythonGroup:   {begins: []string{"  + Exception Group Traceback"}, indented: true},
	pythonThreads: {begins: []string{"Fatal Python error: "}, follows: []string{"Current thread ", "Thread ", "Extension modules: ", "Python runtime state"}, indented: true, empty: true},
	richTrace:     {follows: []string{"│", "╭"}, until: "╰", then: pythonTrace},
	nodeFrames:    {follows: []string{"}", "Node.js v", "Bun v"}, indented: true, empty: true},
	nodeMemory:    {begins: []string{"<--- Last few GCs --->"}, follows: []string{"[", "<--- ", "FATAL ERROR: ", "----- "}, indented: true, empty: true},
	rustNotes:     {follows: []string{"note: ", "stack backtrace:"}, indented: true},
	rustReport:    {follows: []string{"Caused by:", "Stack backtrace:", "Location:", "Backtrace omitted", "Run with "}, indented: true, empty: true},
	phpTrace:      {follows: []string{"#", "Stack trace:", "[stacktrace]", "[previous exception]", "  thrown in ", "Next ", `"}`}, empty: true},
	elixirTrace: {begins: []string{"** ("}, indented: true, follows: []string{"** (", "Last message", "State: ", "Message: ", "Function: ", "Initial Call: ", "Ancestors: ",
		"Server: ", "Request: ", "Pid: ", "Start Call: "}},
	erlangReport:   {begins: []string{"=ERROR REPORT===", "=CRASH REPORT===", "=SUPERVISOR REPORT==="}, follows: []string{"** "}, indented: true},
	dotnetRecord:   {follows: []string{"      "}},
	postgresRecord: {follows: []string{"\t"}},
	indentedTrace:  {begins: []string{"terminate called ", "CallStack (from HasCallStack)", "#error {"}, follows: []string{"PC: @", "SUMMARY: "}, indented: true},
	haskellError:   {until: "HasCallStack backtrace:", then: indentedTrace},
	swiftReport:    {begins: []string{"*** Program crashed: ", "💣 Program crashed: "}, until: "Backtrace took "},
	springReport:   {begins: []string{"APPLICATION FAILED TO START"}, other: true, indented: true, empty: true},
	javaCrash:      {follows: []string{"#"}},
	goRace:         {begins: []string{"WARNING: DATA RACE"}, follows: []string{"Previous ", "Read at ", "Write at ", "Goroutine ", "======"}, indented: true, empty: true},
	ocamlTrace:     {begins: []string{"Fatal error: exception "}, follows: []string{"Raised at ", "Raised by ", "Called from ", "Re-raised at "}},
	juliaTrace:     {follows: []string{"Stacktrace:", "in expression starting at ", "caused by: "}, indented: true},
	luaTrace:       {begins: []string{"lua: ", "luajit: "}, follows: []string{"stack traceback:", "coroutine ", "\t"}},
	perlTrace:      {follows: []string{"\t"}},
	rTrace:         {follows: []string{"Calls: ", "Execution halted", "Backtrace:", "! ", "Caused by error"}, indented: true},
	powershell:     {follows: []string{"Line |", "+ "}, indented: true},
}

// beginForm returns what a line is the first one of by its beginning.
func beginForm(text []byte) trace {
	for _, t := range formsBy[text[0]] {
		if hasAny(text, forms[t].begins) {
			return t
		}
	}
	return noTrace
}

// formsBy are the forms that begin with a byte.
var formsBy = func() (by [256][]trace) {
	for t := range forms {
		for _, prefix := range forms[t].begins {
			if first := prefix[0]; !slices.Contains(by[first], trace(t)) {
				by[first] = append(by[first], trace(t))
			}
		}
	}
	return by
}()

// followsForm reports whether the next line is of the same trace, as its form says.
func (t *trace) followsForm(text []byte, indented bool) bool {
	f := &forms[*t]
	switch {
	case f.until != "":
		if hasPrefix(text, f.until) {
			*t = f.then
			return true
		}
		return len(f.follows) == 0 || hasAny(text, f.follows)
	case len(text) == 0:
		return f.empty
	case indented && f.indented, hasAny(text, f.follows):
		return true
	}
	return f.other && text[0] != '{' && (text[0] < '0' || text[0] > '9')
}

func hasAny(text []byte, prefixes []string) bool {
	for _, prefix := range prefixes {
		if hasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

func contains(text []byte, what string) bool { return bytes.Contains(text, []byte(what)) }
