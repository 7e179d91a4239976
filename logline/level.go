package logline

import (
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// Severity is a level as a number, by which lines are compared: OpenTelemetry's,
// from 1 for the least trace to 24 for the worst that is fatal.
// https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
type Severity int

// The least of each level.
const (
	Unknown Severity = 0
	Trace   Severity = 1
	Debug   Severity = 5
	Info    Severity = 9
	Warn    Severity = 13
	Error   Severity = 17
	Fatal   Severity = 21
)

// severities are what programs call their levels, in upper case. LOG is PostgreSQL's
// word for info.
var severities = map[string]Severity{
	"TRACE": Trace, "TRC": Trace, "TRCE": Trace, "VERBOSE": Trace, "VRB": Trace, "FINEST": Trace, "FINER": Trace,
	"DEBUG": Debug, "DBG": Debug, "DBUG": Debug, "FINE": Debug, "DEBU": Debug, "DEBUG1": Debug, "DEBUG2": Debug, "DEBUG3": Debug, "DEBUG4": Debug, "DEBUG5": Debug,
	"INFO": Info, "INF": Info, "INFORMATION": Info, "INFORMATIONAL": Info, "LOG": Info, "CONFIG": Info,
	"NOTICE": Info + 1, "HINT": Info + 1, "SUCCESS": Info + 1, "NOTE": Info + 1, "SYSTEM": Info,
	"WARN": Warn, "WARNING": Warn, "WRN": Warn,
	"ERROR": Error, "ERR": Error, "EROR": Error, "ERRO": Error, "FAIL": Error, "SEVERE": Error,
	"CRITICAL": Error + 1, "CRIT": Error + 1, "CRT": Error + 1, "ALERT": Error + 2,
	"FATAL": Fatal, "FTL": Fatal, "FATA": Fatal, "PANIC": Fatal, "DPANIC": Fatal, "EMERG": Fatal, "EMERGENCY": Fatal,
}

// numbers are the levels of Pino and Bunyan, and of Monolog.
var numbers = map[int]string{
	10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL",
	100: "DEBUG", 200: "INFO", 250: "NOTICE", 300: "WARNING", 400: "ERROR", 500: "CRITICAL", 550: "ALERT", 600: "EMERGENCY",
}

// letters are levels of one letter.
var letters = map[byte]string{'D': "DEBUG", 'I': "INFO", 'W': "WARNING", 'E': "ERROR", 'F': "FATAL", 'C': "CRITICAL"}

// syslogLevels are RFC 5424's, which GELF has, and mysqlLevels those of MySQL's log
// in JSON. telemetryLevels are of four numbers each.
var (
	syslogLevels    = []string{"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"}
	telemetryLevels = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
	mysqlLevels     = []string{"INFO", "ERROR", "WARNING", "NOTICE"}
)

// SeverityOf returns the number of a level, in any case, and none for a word that
// is not one. slog writes the levels between its own as INFO+2.
func SeverityOf(level string) Severity {
	if n, ok := severities[level]; ok {
		return n
	}
	name, _, _ := strings.Cut(strings.ToUpper(level), "+")
	name, _, _ = strings.Cut(name, "-")
	return severities[name]
}

// levelOfValue returns the level that a member names, and "" for what is none.
func levelOfValue(v *fastjson.Value) string {
	if v == nil {
		return ""
	}
	switch v.Type() {
	case fastjson.TypeString:
		level := stringOf(v)
		if strings.IndexByte(level, '\x1b') >= 0 {
			level = plain(level) // as Winston colours it
		}
		if SeverityOf(level) != Unknown {
			return level
		}
		if n, err := strconv.Atoi(level); err == nil {
			return numbers[n]
		}
		if len(level) == 1 {
			return letters[level[0]]
		}
	case fastjson.TypeNumber:
		if n := v.GetFloat64(); n == float64(int(n)) {
			if n > 10 && n < 70 {
				n -= float64(int(n) % 10) // one of a program's own, between Pino's
			}
			return numbers[int(n)]
		}
	}
	return ""
}

// LevelOf finds the level in the beginning of a plain line, in capitals, where
// programs write it: "[error]", "ERROR:", "level=warn", "2026-08-20 error: ".
func LevelOf(text string) string {
	if level := opening(text); level != "" {
		return level
	}
	if strings.Contains(text, "\n\tat ") || strings.Contains(text, "\n    at ") || isException(text) {
		return "ERROR"
	}
	for _, form := range []func(string) string{klogLevel, logrusLevel, syslogLevel, nodeLevel, redisLevel, phpLevel, goLevel} {
		if level := form(text); level != "" {
			return level
		}
	}
	const beginning = 100
	head := text[:min(len(text), beginning)]
	if strings.IndexByte(head, '\x1b') >= 0 {
		head = plain(text[:min(len(text), 2*beginning)])
		head = head[:min(len(head), beginning)]
	}
	h := heading{text: head}
	for h.next() {
		if head[h.begin:h.end] == "HTTP" && strings.HasPrefix(head[h.end:], "/") {
			break // a request, and what comes next is the client's
		}
		if level := h.level(); level != "" {
			return level
		}
	}
	if isTrace(text) {
		return "ERROR"
	}
	return ""
}

// isTrace reports whether a record of several lines is a trace whose first line does
// not say so.
func isTrace(text string) bool {
	first, rest, several := strings.Cut(text, "\n")
	if !several {
		return false
	}
	for _, mark := range []string{"\nStack trace:\n", "\nstack traceback:", "\nHasCallStack backtrace:\n", "\nLine |\n", "\n+ ~", " called at "} {
		if strings.Contains(text, mark) {
			return true
		}
	}
	return strings.Contains(first, "Traceback (most recent call last)") || strings.Contains(first, "Uncaught exception ") ||
		strings.Contains(rest, "\n      at ") || strings.Contains(first, ".ps1:")
}

func opening(text string) string {
	for _, o := range openings {
		if strings.HasPrefix(text, o.text) {
			return o.level
		}
	}
	return ""
}

// openings are how lines begin that name no level, or not where others do.
var openings = []struct{ text, level string }{
	{"panic: ", "FATAL"}, {"fatal error: ", "FATAL"}, {"thread '", "ERROR"}, // Go, and Rust
	{"Traceback (most recent call last)", "ERROR"}, {"Exception in thread ", "ERROR"}, // Python, and Java
	{"PHP Fatal error: ", "ERROR"}, {"PHP Parse error: ", "ERROR"}, {"PHP Warning: ", "WARNING"}, {"PHP Notice: ", "NOTICE"}, {"PHP Deprecated: ", "NOTICE"},
	{"Fatal error: ", "ERROR"}, {"** (", "ERROR"}, {"Unhandled exception", "ERROR"}, {"Uncaught ", "ERROR"}, {"error[E", "ERROR"}, // PHP and Swift, Elixir, .NET and Dart, browsers, Rust
	{"  + Exception Group Traceback", "ERROR"}, {"runtime: out of memory", "FATAL"}, {"unexpected fault address", "FATAL"},
	{"SIGSEGV: ", "FATAL"}, {"SIGABRT: ", "FATAL"}, {"SIGQUIT: ", "FATAL"}, {"*** SIG", "FATAL"}, {"Segmentation fault", "FATAL"}, {"terminate called ", "FATAL"},
	{"Fatal Python error: ", "FATAL"}, {"<--- Last few GCs --->", "FATAL"}, {"#\n# A fatal error ", "FATAL"}, {"*** Program crashed: ", "FATAL"}, {"💣 Program crashed: ", "FATAL"}, // Python, V8, the JVM, Swift
	{"=ERROR REPORT===", "ERROR"}, {"=CRASH REPORT===", "ERROR"}, {"=SUPERVISOR REPORT===", "ERROR"}, {"=WARNING REPORT===", "WARNING"}, {"=INFO REPORT===", "INFO"}, // Erlang
	{"Error in ", "ERROR"}, {"#error {", "ERROR"}, {"APPLICATION FAILED TO START", "ERROR"}, {"prisma:error ", "ERROR"}, {"prisma:warn ", "WARN"}, // R, Clojure, Spring
	{"npm ERR! ", "ERROR"}, {"npm error ", "ERROR"}, {"npm warn ", "WARN"},
	{" ⨯ ", "ERROR"}, {"⨯ ", "ERROR"}, {" ⚠ ", "WARN"}, {"⚠ ", "WARN"}, // Next.js
}

// isException reports whether a line begins with the name of an exception, as
// JavaScript, Python, Ruby and Java say it: "TypeError: x is not a function".
func isException(text string) bool {
	text = strings.TrimPrefix(text, "[")
	at := 0
	for at < len(text) && (isLetter(text[at]) || text[at] == '.' || text[at] == ':' && strings.HasPrefix(text[at:], "::") || text[at] == ':' && at > 0 && text[at-1] == ':') {
		at++
	}
	name := text[:at]
	if strings.HasPrefix(text[at:], " (") && strings.HasSuffix(name, "Error") {
		return len(name) > len("Error") // Rails'
	}
	return strings.HasPrefix(text[at:], ": ") && (strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception") || name == "ExceptionGroup" || name == "BaseExceptionGroup") &&
		len(name) > len("Error") && name != "Exception"
}

// redisLevel reads the sign in the head of Redis' lines: "7:M 01 Jan 2026 00:00:00.000 # ".
func redisLevel(text string) string {
	const least = len("7:M 01 Jan 2026 00:00:00.000 # ")
	process, rest, ok := strings.Cut(text[:min(len(text), least+10)], ":")
	if !ok || process == "" || strings.Trim(process, "0123456789") != "" || len(rest) < least-len("7:") || strings.IndexByte("MSXC", rest[0]) < 0 || rest[1] != ' ' {
		return ""
	}
	switch rest[len("M 01 Jan 2026 00:00:00.000") : least-len("7:")] {
	case " # ":
		return "WARNING"
	case " * ":
		return "NOTICE"
	case " - ":
		return "VERBOSE"
	case " . ":
		return "DEBUG"
	}
	return ""
}

// phpLevel reads what PHP-FPM passes on of PHP, "NOTICE: PHP message: PHP Fatal error: ",
// and what PHP writes with a time: "[01-Jan-2026 00:00:00 UTC] PHP Fatal error: ".
func phpLevel(text string) string {
	const near = 200
	if !strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "NOTICE: ") {
		return ""
	}
	if _, message, ok := strings.Cut(text[:min(len(text), near)], "] PHP "); ok {
		return opening("PHP " + message)
	}
	_, message, ok := strings.Cut(text[:min(len(text), near)], "PHP message: ")
	if !ok {
		return ""
	}
	return opening(message)
}

// goLevel reads what Go's server says of a handler's panic, and Ruby of an uncaught exception.
func goLevel(text string) string {
	const near = 200
	line, _, _ := strings.Cut(text[:min(len(text), near)], "\n")
	if strings.Contains(line, "http: panic serving ") || strings.Contains(line, ".rb:") && strings.Contains(line, ":in ") && strings.HasSuffix(line, "Error)") {
		return "ERROR"
	}
	return ""
}

// logrusLevel reads the head of logrus' lines for people: "WARN[0003] ".
func logrusLevel(text string) string {
	if len(text) < len("WARN[0000]") || text[4] != '[' || text[9] != ']' || strings.Trim(text[5:9], "0123456789") != "" {
		return ""
	}
	for _, level := range []string{"TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL", "PANIC"} {
		if level[:4] == text[:4] {
			return level
		}
	}
	return ""
}

// syslogLevel reads the priority of syslog, of which the lowest three bits are the
// severity: "<12>1 2026-…" of RFC 5424, "<12>Jan  1 …" of RFC 3164, and "<4>boom" for
// systemd.
func syslogLevel(text string) string {
	if len(text) > 3 && text[0] == '<' && text[1] >= '0' && text[1] <= '7' && text[2] == '>' && isLetter(text[3]) {
		return syslogLevels[text[1]-'0']
	}
	number, rest, ok := strings.Cut(text, ">")
	if !ok || len(number) < 2 || len(number) > 4 || number[0] != '<' ||
		!strings.HasPrefix(rest, "1 ") && (len(rest) < 4 || rest[3] != ' ' || !isLetter(rest[0])) {
		return ""
	}
	priority, err := strconv.Atoi(number[1:])
	if err != nil || priority < 0 || priority > 191 {
		return ""
	}
	return syslogLevels[priority%8]
}

// nodeLevel reads Node's own warnings: "(node:1) [DEP0005] DeprecationWarning: ", and
// Python's: "/app/a.py:3: UserWarning: ".
func nodeLevel(text string) string {
	if file, rest, ok := strings.Cut(text, ".py:"); ok && strings.IndexByte(file, ' ') < 0 {
		if _, rest, ok = strings.Cut(rest, ": "); ok {
			if before, _, ok := strings.Cut(rest, ": "); ok && strings.HasSuffix(before, "Warning") && strings.IndexByte(before, ' ') < 0 {
				return "WARNING"
			}
		}
	}
	if rest, ok := strings.CutPrefix(text, "(node:"); ok {
		if _, rest, ok = strings.Cut(rest, ") "); ok {
			if before, _, ok := strings.Cut(rest, ": "); ok && strings.HasSuffix(before, "Warning") {
				return "WARNING"
			}
		}
	}
	return ""
}

// klogLevel reads the head of Kubernetes' lines: "E0101 00:00:00.000000 1 a.go:1] ", and
// of glog's and CockroachDB's, which may have the year.
func klogLevel(text string) string {
	date, rest, _ := strings.Cut(text[:min(len(text), len("E20260101 00:00:00"))], " ")
	if len(date) != len("E0101") && len(date) != len("E260101") && len(date) != len("E20260101") || len(rest) < len("00:00:00") || rest[2] != ':' || strings.Trim(date[1:], "0123456789") != "" {
		return ""
	}
	switch text[0] {
	case 'I':
		return "INFO"
	case 'W':
		return "WARNING"
	case 'E':
		return "ERROR"
	case 'F':
		return "FATAL"
	}
	return ""
}

// heading goes through the words in the beginning of a line.
type heading struct {
	text       string
	begin, end int
	// letters are how many words stand before that are of small letters alone, as
	// those of a sentence, and marked whether there was any word.
	sentence int
	marked   bool
}

// next goes on to the next word of letters and digits that begins with a letter.
func (h *heading) next() bool {
	if h.end > 0 {
		word := h.text[h.begin:h.end]
		if mark := strings.TrimRight(word, "0123456789"); mark != "T" && mark != "Z" && mark != "UTC" && mark != "GMT" {
			h.marked = true
		}
		if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == "" && len(word) > 1 && !strings.HasPrefix(h.text[h.end:], "]") {
			h.sentence++
		}
	}
	at := h.end
	for at < len(h.text) && !isLetter(h.text[at]) {
		at++
	}
	h.begin = at
	for at < len(h.text) && (isLetter(h.text[at]) || h.text[at] >= '0' && h.text[at] <= '9') {
		at++
	}
	h.end = at
	return h.begin < len(h.text)
}

// level returns what level the word says, if that is what it is there for.
func (h *heading) level() string {
	word := h.text[h.begin:h.end]
	if len(word) > len("INFORMATIONAL") {
		return ""
	}
	before, after := byte(' '), byte(' ')
	if h.begin > 0 {
		before = h.text[h.begin-1]
	}
	if h.end < len(h.text) {
		after = h.text[h.end]
	}
	if len(word) == 1 && before == '[' && (after == ']' || after == ' ' && h.end+1 < len(h.text) && h.text[h.end+1] >= '0' && h.text[h.end+1] <= '9') {
		return letters[word[0]] // "[E]", and Tornado's "[E 260101 00:00:00 web:1]"
	}
	rest := h.text[h.end:]
	if len(word) == 1 && before == ' ' && h.isTimed() && (strings.HasPrefix(rest, "! ") || len(rest) > 2 && rest[:2] == " [" && rest[2] >= '0' && rest[2] <= '9') {
		return letters[word[0]] // Telegraf's "E! ", and Semantic Logger's "E [7:puma]"
	}
	level := strings.ToUpper(word)
	if severities[level] == Unknown {
		return ""
	}
	switch {
	case level == "NOTE" || level == "SYSTEM":
		if before == '[' && after == ']' && h.begin > 1 {
			return level // MySQL's
		}
		return ""
	case before == ':' && after == ']', // Apache's "[core:error]"
		before == '.' && after == ':' && word == level,                             // Monolog's "production.ERROR:"
		after == '/' && word == level && strings.HasSuffix(h.text[:h.begin], ": "): // Celery's ": WARNING/MainProcess]"
		return level
	case before == '[' && (after == ']' || after == ' ') || before == '<' && after == '>':
		return level
	case before == '/' && word == level && strings.HasPrefix(rest, "]: ") && h.text[0] == '[':
		return level // Log4j's "[Server thread/ERROR]: "
	case before == '\t' && after == '\t' && (word == level || h.isTimed()):
		return level // Zap's columns
	case word == level && strings.HasPrefix(rest, " - ") && (strings.HasSuffix(h.text[:h.begin], " - ") || strings.HasSuffix(h.text[:h.begin], "} ")):
		return level // Python's "2026-01-01 00:00:00,000 - app.module - ERROR - "
	case h.isTimed() && strings.HasSuffix(h.text[:h.begin], "| ") && strings.HasPrefix(strings.TrimLeft(rest, " "), "| "):
		return level // Winston's "2026-01-01T00:00:00.000Z | error | "
	case isAssigned(h.text[:h.begin]):
		return level
	case after == ':' && !h.marked:
		// At the beginning, or behind a time, it may be of small letters.
		if word != level && (level == "CONFIG" || level == "LOG" || level == "HINT" || level == "FINE" || level == "FAIL" && strings.HasPrefix(rest, ": 0")) {
			return ""
		}
		return level
	case !h.marked && word != level && (h.begin == 0 && strings.HasPrefix(strings.TrimLeft(rest, " "), "- ") || h.begin > 0 && strings.Contains(rest, " : ")):
		return level // Next.js' "warn  - ", and Swift's "2026-01-01T00:00:00+0000 error app : "
	case word != level || strings.IndexByte(" \t[(|\"'", before) < 0:
		return ""
	case after == ':':
		return level
	case strings.IndexByte(" \t])|\"',", after) >= 0 && h.sentence <= 1:
		return level
	}
	return ""
}

// isTimed reports whether nothing but a time stands before the word.
func (h *heading) isTimed() bool { return !h.marked && h.begin >= len("00:00:00 ") }

// isAssigned reports whether a word is the value of a level in the way of logfmt. In
// a URL it says something else.
func isAssigned(before string) bool {
	before = strings.TrimSuffix(before, `"`)
	for _, name := range []string{"level=", "lvl=", "severity=", "levelname=", "loglevel="} {
		if rest, ok := strings.CutSuffix(before, name); ok {
			return rest == "" || strings.IndexByte(" \t[{(,", rest[len(rest)-1]) >= 0
		}
	}
	return false
}

// plain takes colours out.
func plain(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\x1b' {
			b.WriteByte(text[i])
			continue
		}
		for i+1 < len(text) && !isLetter(text[i]) {
			i++
		}
	}
	return b.String()
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// stringOf copies, as the parser's memory is used again, and repairs what an
// escape may have brought in.
func stringOf(v *fastjson.Value) string {
	return strings.ToValidUTF8(string(v.GetStringBytes()), "\uFFFD")
}
