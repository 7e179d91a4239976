// Package structure is what the agent does with lines beyond taking them apart, which
// is package logline's part: it takes secrets out of them, and makes OpenTelemetry's
// records of them.
//
// A line is read twice: before it is queued, to take its secrets out, and by the
// sink that sends it. In between it is text: a record with attributes would be
// written down and read back value by value, which costs more than reading the
// line again.
package structure

import (
	"slices"
	"strings"

	"github.com/valyala/fastjson"

	"berth/collector/redact"
	"berth/logline"
)

// A Parser reads lines, one at a time: it uses its memory again.
type Parser struct {
	logline.Parser
	buffer []byte
}

// Redact returns a text without its secrets, and the same text when it has none.
// In a JSON object, those are also the values whose names say so.
func (p *Parser) Redact(text string) string {
	object := p.Object(text)
	if object == nil {
		return redact.Text(text)
	}
	w := writer{to: p.buffer[:0]}
	w.object(object)
	p.buffer = w.to
	if !w.redacted {
		return text
	}
	return string(w.to)
}

// writer rewrites JSON, without its secrets.
type writer struct {
	to []byte
	// redacted says that there were some.
	redacted bool
}

func (w *writer) object(o *fastjson.Object) {
	w.to = append(w.to, '{')
	first, named := true, false
	o.Visit(func(key []byte, v *fastjson.Value) {
		// {"name":"password","value":"x"}
		if v.Type() == fastjson.TypeString {
			if named && strings.EqualFold(string(key), "value") {
				w.key(first, key)
				w.mark()
				return
			}
			named = named || redact.IsNaming(string(key)) && redact.IsSecret(string(v.GetStringBytes()))
		}
		w.member(first, key, v)
		first = false
	})
	w.to = append(w.to, '}')
}

func (w *writer) key(first bool, key []byte) {
	if !first {
		w.to = append(w.to, ',')
	}
	w.text(key)
	w.to = append(w.to, ':')
}

func (w *writer) member(first bool, key []byte, v *fastjson.Value) {
	w.key(first, key)
	if redact.IsSecret(string(key)) && !shown(string(key), v) {
		w.mark()
		return
	}
	w.value(v)
}

func (w *writer) mark() {
	w.to = logline.AppendString(w.to, redact.Mark)
	w.redacted = true
}

// shown reports whether a value can be shown although its name is a secret's.
func shown(name string, v *fastjson.Value) bool {
	switch v.Type() {
	case fastjson.TypeNull, fastjson.TypeTrue, fastjson.TypeFalse:
		return true
	case fastjson.TypeString:
		text := string(v.GetStringBytes())
		return text == "" || text == redact.Mark || redact.Harmless(name, text)
	case fastjson.TypeNumber:
		return redact.Counts(name)
	case fastjson.TypeArray:
		return !slices.ContainsFunc(v.GetArray(), func(v *fastjson.Value) bool { return !shown(name, v) })
	}
	all := true
	v.GetObject().Visit(func(_ []byte, v *fastjson.Value) { all = all && shown(name, v) })
	return all
}

func (w *writer) value(v *fastjson.Value) {
	switch v.Type() {
	case fastjson.TypeString:
		w.text(v.GetStringBytes())
	case fastjson.TypeObject:
		w.object(v.GetObject())
	case fastjson.TypeArray:
		w.to = append(w.to, '[')
		elements := v.GetArray()
		for i, element := range elements {
			if i > 0 {
				w.to = append(w.to, ',')
			}
			if i > 0 && element.Type() == fastjson.TypeString && redact.Announces(string(elements[i-1].GetStringBytes()), string(element.GetStringBytes())) {
				w.mark()
				continue
			}
			w.value(element)
		}
		w.to = append(w.to, ']')
	default:
		w.to = logline.AppendValue(w.to, v)
	}
}

func (w *writer) text(text []byte) {
	if !redact.Possible(text) {
		w.to = logline.AppendString(w.to, text)
		return
	}
	before := string(text)
	after := redact.Text(before)
	w.redacted = w.redacted || after != before
	w.to = logline.AppendString(w.to, after)
}
