// Package logline parses a record of a log, which is a line or a stack trace. A JSON
// object has a message, a level and other members. Any other text is a message as it
// is, and its level is searched where programs write it.
//
// The log agent (collector) parses lines with it on their way to a sink, and `berth
// logs` (internal/logs) parses those that are still in the cluster, so a line looks the
// same from both. It is a module of its own, so neither of them needs the dependencies
// of the other.
package logline

import (
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// A Parser reads lines, one at a time: it reuses its memory.
type Parser struct {
	json fastjson.Parser
}

// Line is a parsed record. It is valid until its parser reads the next one.
type Line struct {
	Message string
	// Level is the program's word for it, or "" if that is not known.
	Level string

	object *fastjson.Object
	// message and level are their positions in the object, or -1.
	message, level int
}

// Parse parses any text that is UTF-8.
func (p *Parser) Parse(text string) Line {
	l := Line{Message: text, object: p.Object(text), message: -1, level: -1}
	if l.object == nil {
		l.Level = LevelOf(text)
		return l
	}
	l.read()
	return l
}

// Object returns nil for text that is not a JSON object. The parser is generous:
// it takes NaN, numbers with leading zeros, and tabs in strings, as programs write
// them.
func (p *Parser) Object(text string) *fastjson.Object {
	if !strings.HasPrefix(text, "{") {
		return nil
	}
	value, err := p.json.Parse(text)
	if err != nil {
		return nil
	}
	return value.GetObject()
}

// source is the member that a message is from, the better ones first.
type source uint8

const (
	fromMessage source = iota
	fromGELF
	fromSerilog
	fromTemplate
	fromEvent
	fromFields
	fromNothing
)

// read finds message and level among the members. Of several messages the one
// whose name comes first here is taken, and of several of that name the first.
func (l *Line) read() {
	best, at := fromNothing, -1
	gelf, gelfAt := -1, -1 // a level of GELF, which is one of syslog's
	var caller, verbosity, failure bool
	l.object.Visit(func(key []byte, v *fastjson.Value) {
		at++
		var small [longestName]byte
		switch name := lower(key, &small); string(name) {
		case "msg", "message":
			l.takeMessage(v, at, fromMessage, &best)
		case "short_message", "textpayload", "formattedmessage":
			l.takeMessage(v, at, fromGELF, &best)
		case "body": // OpenTelemetry's
			if isTelemetry(l.object) {
				l.takeMessage(v, at, fromGELF, &best)
			}
		case "0": // tslog's
			if l.object.Get("_meta") != nil {
				l.takeMessage(v, at, fromFields, &best)
			}
		case "_meta":
			if l.Level == "" {
				l.Level = levelOfValue(v.Get("logLevelName"))
			}
		case "record": // Loguru's
			if nested := v.Get("message"); nested != nil {
				l.takeMessage(nested, -1, fromFields, &best)
				if l.Level == "" {
					l.Level = levelOfValue(v.Get("level", "name"))
				}
			}
		case "@m", "renderedmessage":
			l.takeMessage(v, at, fromSerilog, &best)
		case "@mt", "messagetemplate":
			l.takeMessage(v, at, fromTemplate, &best)
		case "event":
			l.takeMessage(v, at, fromEvent, &best)
		case "fields": // Rust's tracing
			if nested := v.Get("message"); nested != nil {
				l.takeMessage(nested, -1, fromFields, &best)
			}
		case "level", "severity", "lvl", "log.level", "levelname", "level_name", "loglevel", "@l", "error_severity", "severity_text", "severitytext", "log_level", "priority", "sev":
			if l.Level != "" {
				return
			}
			if l.Level = levelOfValue(v); l.Level != "" {
				l.level = at
			} else if string(key) == "PRIORITY" { // journald's
				if n, err := strconv.Atoi(stringOf(v)); err == nil && n >= 0 && n < len(syslogLevels) {
					l.Level, l.level = syslogLevels[n], at
				}
			} else if v.Type() == fastjson.TypeNumber && string(name) == "level" {
				gelf, gelfAt = v.GetInt(), at
			} else if v.Type() == fastjson.TypeObject {
				l.Level = levelOfValue(v.Get("name"))
			}
		case "log": // the Elastic Common Schema, nested
			if l.Level == "" && v.Type() == fastjson.TypeObject {
				l.Level = levelOfValue(v.Get("level"))
			}
		case "severity_number", "severitynumber": // OpenTelemetry's
			if n := v.GetInt(); l.Level == "" && v.Type() == fastjson.TypeNumber && n > 0 && n < 4*len(telemetryLevels) {
				l.Level = telemetryLevels[(n-1)/4]
			}
		case "s": // MongoDB's, which has its component besides
			if letter := stringOf(v); l.Level == "" && v.Type() == fastjson.TypeString && len(letter) == 1 && l.object.Get("c") != nil && l.object.Get("ctx") != nil {
				if l.Level = letters[letter[0]]; l.Level != "" {
					l.level = at
				}
			}
		case "caller":
			caller = true
		case "v":
			verbosity = v.Type() == fastjson.TypeNumber
		case "err":
			failure = true
		case "prio": // MySQL's
			if n := v.GetInt(); l.Level == "" && v.Type() == fastjson.TypeNumber && n >= 0 && n < len(mysqlLevels) {
				l.Level, l.level = mysqlLevels[n], at
			}
		}
	})
	switch {
	case l.Level != "":
	case best == fromGELF && gelf >= 0 && gelf < len(syslogLevels):
		l.Level, l.level = syslogLevels[gelf], gelfAt
	case best == fromSerilog || best == fromTemplate:
		l.Level = "Information" // which Serilog leaves out
	case caller && failure:
		l.Level = "ERROR" // Kubernetes' components name no level
	case caller && verbosity:
		l.Level = "INFO"
	}
}

// isTelemetry reports whether an object is a record of OpenTelemetry's.
func isTelemetry(o *fastjson.Object) bool {
	for _, name := range []string{"severityText", "SeverityText", "severity_text", "severityNumber", "SeverityNumber", "severity_number"} {
		if o.Get(name) != nil {
			return true
		}
	}
	return false
}

// takeMessage takes a text that is better than what was found before.
func (l *Line) takeMessage(v *fastjson.Value, at int, rank source, best *source) {
	if v.Type() == fastjson.TypeString && rank < *best {
		*best, l.message, l.Message = rank, at, stringOf(v)
	}
}

// longestName is that of a member that is looked for.
const longestName = 16

// lower returns a name in small letters, or nothing for one that is too long.
func lower(name []byte, into *[longestName]byte) []byte {
	if len(name) > len(into) {
		return nil
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		into[i] = c
	}
	return into[:len(name)]
}

// Members visits the members that are neither message nor level, in the order in
// which the program wrote them. A value is valid as long as the line.
func (l *Line) Members(visit func(key []byte, v *fastjson.Value)) {
	if l.object == nil {
		return
	}
	at := 0
	l.object.Visit(func(key []byte, v *fastjson.Value) {
		if at != l.message && at != l.level {
			visit(key, v)
		}
		at++
	})
}

// Length is how many members there are at most.
func (l *Line) Length() int {
	if l.object == nil {
		return 0
	}
	return l.object.Len()
}
