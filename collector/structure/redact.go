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
	first := true
	o.Visit(func(key []byte, v *fastjson.Value) {
		// Few objects have such a member, and only for them is the rest looked at.
		if mayDepend(string(key)) && aboutOf(o).hides(string(key), v) {
			w.key(first, key)
			w.mark()
		} else {
			w.member(first, key, v)
		}
		first = false
	})
	w.to = append(w.to, '}')
}

// about is what some members of an object say of others.
type about struct {
	// secret is the name of a secret whose value is in another member:
	// {"name":"password","value":"x"}.
	secret string
	// key says that it is a key as JSON (RFC 7517), and manifest that it is
	// Kubernetes' Secret.
	key, manifest bool
}

func aboutOf(o *fastjson.Object) (a about) {
	o.Visit(func(key []byte, v *fastjson.Value) {
		const longest = len("attribute")
		if len(key) > longest {
			return
		}
		switch v.Type() {
		case fastjson.TypeString:
			switch {
			case string(key) == "kty":
				a.key = true
			case string(key) == "kind":
				a.manifest = string(v.GetStringBytes()) == "Secret"
			case a.secret == "" && redact.IsNaming(string(key)):
				if name := string(v.GetStringBytes()); redact.IsSecret(name) {
					a.secret = name
				}
			}
		case fastjson.TypeArray:
			// Pydantic's and Zod's {"loc":["body","password"],"input":"x"}
			if elements := v.GetArray(); len(elements) > 0 && (string(key) == "loc" || string(key) == "path") {
				if name := string(elements[len(elements)-1].GetStringBytes()); redact.IsSecret(name) {
					a.secret = name
				}
			}
		}
	})
	return a
}

// mayDepend reports whether a member may have a secret because of what others say.
func mayDepend(key string) bool {
	return isKeyPart(key) || isManifestPart(key) || redact.IsValue(key)
}

func isManifestPart(key string) bool { return key == "data" || key == "stringData" }

// isKeyPart reports whether a member of a key is secret (RFC 7518, section 6).
func isKeyPart(key string) bool {
	switch key {
	case "d", "p", "q", "dp", "dq", "qi", "k":
		return true
	}
	return false
}

// hides reports whether a member has a secret, other than by its own name.
func (a about) hides(key string, v *fastjson.Value) bool {
	return a.secret != "" && redact.IsValue(key) && !shown(a.secret, v) ||
		a.key && isKeyPart(key) ||
		a.manifest && isManifestPart(key) && v.Type() == fastjson.TypeObject
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
		return redact.Harmless(name, string(v.MarshalTo(nil)))
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
