package logline

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// AppendMembers appends the members that are neither message nor level, as in a
// JSON object, but without its braces.
func (l *Line) AppendMembers(to []byte) []byte {
	first := true
	l.Members(func(key []byte, v *fastjson.Value) {
		if !first {
			to = append(to, ',')
		}
		first = false
		to = AppendValue(append(AppendString(to, key), ':'), v)
	})
	return to
}

// Each visits the same members, each with its value in JSON.
func (l *Line) Each(visit func(name string, value []byte)) {
	l.Members(func(key []byte, v *fastjson.Value) {
		visit(strings.ToValidUTF8(string(key), "\uFFFD"), AppendValue(nil, v))
	})
}

// AppendValue rewrites a value. The parser is generous: what it takes may not be
// JSON in the eyes of others.
func AppendValue(to []byte, v *fastjson.Value) []byte {
	switch v.Type() {
	case fastjson.TypeString:
		return AppendString(to, v.GetStringBytes())
	case fastjson.TypeObject:
		to = append(to, '{')
		first := true
		v.GetObject().Visit(func(key []byte, v *fastjson.Value) {
			if !first {
				to = append(to, ',')
			}
			first = false
			to = AppendValue(append(AppendString(to, key), ':'), v)
		})
		return append(to, '}')
	case fastjson.TypeArray:
		to = append(to, '[')
		for i, element := range v.GetArray() {
			if i > 0 {
				to = append(to, ',')
			}
			to = AppendValue(to, element)
		}
		return append(to, ']')
	}
	begin := len(to)
	to = v.MarshalTo(to)
	// Digits stay as they are, however many.
	if number := to[begin:]; v.Type() == fastjson.TypeNumber && !json.Valid(number) {
		to = AppendString(to[:begin], bytes.Clone(number))
	}
	return to
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
