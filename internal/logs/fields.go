package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"berth/logline"
)

// Field is a member of a line in JSON.
type Field struct {
	Name  string
	Value json.RawMessage
}

// text is the value as it stands in a line in short: texts without quotes where
// they are not needed.
func (f Field) text() string {
	if len(f.Value) == 0 || f.Value[0] != '"' {
		return string(f.Value)
	}
	value := f.Value
	if bytes.IndexByte(value, '\\') >= 0 {
		// Programs escape more or less of what need not be.
		var text string
		if json.Unmarshal(value, &text) == nil {
			value = quote(text)
		}
	}
	inner := bytes.TrimSuffix(value[1:], []byte(`"`))
	if len(inner) == 0 || bytes.ContainsAny(inner, " =\\") {
		return string(value)
	}
	return string(inner)
}

// quote writes a text in JSON as the log agent does. What is searched for in the
// archive before it is decoded depends on that.
func quote(text string) json.RawMessage { return logline.AppendString(nil, text) }

// Fields is an object in JSON that keeps its members' order.
type Fields []Field

// whole reports whether text is the object that the fields were taken from: a line
// in JSON without a message has both.
func (f Fields) whole(text string) bool {
	var object map[string]json.RawMessage
	return len(f) > 0 && json.Unmarshal([]byte(text), &object) == nil && object[f[0].Name] != nil
}

// MarshalJSON writes an object.
func (f Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, field := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quote(field.Name))
		b.WriteByte(':')
		b.Write(field.Value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object, which must be valid JSON. With every line of the
// archive being read, a [json.Decoder] would take a third of all the time.
func (f *Fields) UnmarshalJSON(data []byte) error {
	*f = nil
	data, object := bytes.CutPrefix(bytes.TrimLeft(data, space), []byte("{"))
	if !object {
		return errors.New("no object in JSON")
	}
	for {
		data = bytes.TrimLeft(data, space+",")
		if data[0] == '}' {
			return nil
		}
		var name string
		end := endOf(data)
		if err := json.Unmarshal(data[:end], &name); err != nil {
			return err
		}
		data = bytes.TrimLeft(data[end:], space+":")
		end = endOf(data)
		*f = append(*f, Field{name, bytes.Clone(data[:end])})
		data = data[end:]
	}
}

// space is what may stand between JSON's tokens.
const space = " \t\r\n"

// endOf is where the first value of a piece of valid JSON ends.
func endOf(data []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
		case depth > 0 && (c == '}' || c == ']'):
			depth--
		case depth == 0 && strings.IndexByte(space+",:}", c) >= 0:
			return i
		}
	}
	return len(data)
}
