package containerlog

import (
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"berth/collector/redact"
)

// parsers are used again, as a parser keeps the memory of what it parsed.
var parsers fastjson.ParserPool

// fill makes a log record of what a container wrote. A JSON object's members
// become attributes, but for its message and its level, which have places of
// their own; any other text becomes the body as it is. Secrets are taken out of
// both.
func fill(to plog.LogRecord, r record, observed time.Time) {
	when := r.time
	if when.IsZero() {
		when = observed
	}
	to.SetTimestamp(pcommon.NewTimestampFromTime(when))
	to.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
	text := strings.ToValidUTF8(string(r.text), "\uFFFD")
	if !strings.HasPrefix(text, "{") || !fillObject(to, text) {
		to.Body().SetStr(redact.Text(text))
		setSeverity(to, levelOfText(text))
	}
	to.Attributes().PutStr("log.iostream", r.stream.String())
}

// fillObject reports false for text that is not a JSON object.
func fillObject(to plog.LogRecord, text string) bool {
	parser := parsers.Get()
	defer parsers.Put(parser)
	value, err := parser.Parse(text)
	if err != nil {
		return false
	}
	object, err := value.Object()
	if err != nil {
		return false
	}
	attributes := to.Attributes()
	attributes.EnsureCapacity(object.Len() + 1)
	message, level := false, false
	object.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "msg", "message":
			if !message && v.Type() == fastjson.TypeString {
				message = true
				to.Body().SetStr(redact.Text(stringOf(v)))
				return
			}
		case "level", "severity", "lvl":
			if name := levelOf(v); !level && name != "" {
				level = true
				setSeverity(to, name)
				return
			}
		}
		member(attributes, string(key), v)
	})
	if !message {
		to.Body().SetStr(redact.Text(text))
	}
	return true
}

// member puts a member of an object into a map.
func member(m pcommon.Map, key string, v *fastjson.Value) {
	if redact.IsSecret(key) && v.Type() != fastjson.TypeNull {
		m.PutStr(key, redact.Mark)
		return
	}
	put(m.PutEmpty(redact.Text(key)), v)
}

func put(to pcommon.Value, v *fastjson.Value) {
	switch v.Type() {
	case fastjson.TypeString:
		to.SetStr(redact.Text(stringOf(v)))
	case fastjson.TypeNumber:
		number(to, v)
	case fastjson.TypeTrue:
		to.SetBool(true)
	case fastjson.TypeFalse:
		to.SetBool(false)
	case fastjson.TypeObject:
		object := v.GetObject()
		m := to.SetEmptyMap()
		m.EnsureCapacity(object.Len())
		object.Visit(func(key []byte, v *fastjson.Value) { member(m, string(key), v) })
	case fastjson.TypeArray:
		values := v.GetArray()
		s := to.SetEmptySlice()
		s.EnsureCapacity(len(values))
		for _, v := range values {
			put(s.AppendEmpty(), v)
		}
	}
}

// number keeps a number that no type holds as the text that it was.
func number(to pcommon.Value, v *fastjson.Value) {
	if i, err := v.Int64(); err == nil {
		to.SetInt(i)
		return
	}
	text := string(v.MarshalTo(nil))
	if f, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, ".eE") {
		to.SetDouble(f)
		return
	}
	to.SetStr(text)
}

// stringOf copies, as the parser's memory is used again, and mends what an
// escape may have brought in.
func stringOf(v *fastjson.Value) string {
	return strings.ToValidUTF8(string(v.GetStringBytes()), "\uFFFD")
}
