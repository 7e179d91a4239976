package structure

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"berth/collector/redact"
)

// AppendMembers appends the members that are neither message nor level, as in a
// JSON object, but without its braces.
func (l *Line) AppendMembers(to []byte) []byte {
	w := writer{to: to}
	first := true
	l.members(func(key []byte, v *fastjson.Value) {
		w.member(first, key, v)
		first = false
	})
	return w.to
}

// Redact returns a text without its secrets, and the same text when it has none.
// In a JSON object, those are also the values whose names say so.
func (p *Parser) Redact(text string) string {
	object := p.object(text)
	if object == nil {
		return redact.Text(text)
	}
	w := writer{to: p.buffer[:0], redact: true}
	w.object(object)
	p.buffer = w.to
	if !w.redacted {
		return text
	}
	return string(w.to)
}

// writer writes JSON anew. The parser is generous: what it takes may not be JSON
// in the eyes of others.
type writer struct {
	to []byte
	// redact has secrets taken out, and redacted says that there were some.
	redact, redacted bool
}

func (w *writer) object(o *fastjson.Object) {
	w.to = append(w.to, '{')
	first, named := true, false
	o.Visit(func(key []byte, v *fastjson.Value) {
		// {"name":"password","value":"x"}
		if w.redact && v.Type() == fastjson.TypeString {
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
	if w.redact && redact.IsSecret(string(key)) && !shown(string(key), v) {
		w.mark()
		return
	}
	w.value(v)
}

func (w *writer) mark() {
	w.to = AppendString(w.to, redact.Mark)
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
			if w.redact && i > 0 && element.Type() == fastjson.TypeString && redact.Announces(string(elements[i-1].GetStringBytes()), string(element.GetStringBytes())) {
				w.mark()
				continue
			}
			w.value(element)
		}
		w.to = append(w.to, ']')
	default:
		begin := len(w.to)
		w.to = v.MarshalTo(w.to)
		// Digits stay as they are, however many.
		if number := w.to[begin:]; v.Type() == fastjson.TypeNumber && !json.Valid(number) {
			w.to = AppendString(w.to[:begin], bytes.Clone(number))
		}
	}
}

func (w *writer) text(text []byte) {
	if !w.redact || !redact.Possible(text) {
		w.to = AppendString(w.to, text)
		return
	}
	before := string(text)
	after := redact.Text(before)
	w.redacted = w.redacted || after != before
	w.to = AppendString(w.to, after)
}

// AppendString appends a string of JSON (RFC 8259, section 7). What is not UTF-8
// becomes U+FFFD.
func AppendString[T string | []byte](to []byte, text T) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	done := 0
	for i := 0; i < len(text); {
		c := text[i]
		width := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, width = utf8.DecodeRuneInString(string(text[i:min(len(text), i+utf8.UTFMax)])); r != utf8.RuneError || width > 1 {
				i += width
				continue
			}
		} else if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		to = append(to, text[done:i]...)
		switch {
		case c == '"', c == '\\':
			to = append(to, '\\', c)
		case c == '\n':
			to = append(to, `\n`...)
		case c == '\r':
			to = append(to, `\r`...)
		case c == '\t':
			to = append(to, `\t`...)
		case c < ' ':
			to = append(to, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			to = append(to, "\uFFFD"...)
		}
		i += width
		done = i
	}
	to = append(to, text[done:]...)
	return append(to, '"')
}
