package structure

import (
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"berth/logline"
)

// Records returns log records whose bodies are texts of lines as OpenTelemetry
// has them: the message is the body, the level the severity, and members are
// attributes, before those that the record has.
func Records(of plog.Logs) plog.Logs {
	var p Parser
	logs := plog.NewLogs()
	logs.ResourceLogs().EnsureCapacity(of.ResourceLogs().Len())
	for _, from := range of.ResourceLogs().All() {
		resource := logs.ResourceLogs().AppendEmpty()
		from.Resource().CopyTo(resource.Resource())
		for _, from := range from.ScopeLogs().All() {
			records := resource.ScopeLogs().AppendEmpty().LogRecords()
			records.EnsureCapacity(from.LogRecords().Len())
			for _, from := range from.LogRecords().All() {
				p.fill(records.AppendEmpty(), from)
			}
		}
	}
	return logs
}

func (p *Parser) fill(to, from plog.LogRecord) {
	to.SetTimestamp(from.Timestamp())
	to.SetObservedTimestamp(from.ObservedTimestamp())
	l := p.Parse(from.Body().AsString())
	to.Body().SetStr(l.Message)
	if l.Level != "" {
		to.SetSeverityText(l.Level)
		// The numbers are the same.
		to.SetSeverityNumber(plog.SeverityNumber(logline.SeverityOf(l.Level)))
	}
	attributes := to.Attributes()
	attributes.EnsureCapacity(l.Length() + from.Attributes().Len())
	l.Members(func(key []byte, v *fastjson.Value) { put(attributes.PutEmpty(string(key)), v) })
	for key, value := range from.Attributes().All() {
		value.CopyTo(attributes.PutEmpty(key))
	}
}

func put(to pcommon.Value, v *fastjson.Value) {
	switch v.Type() {
	case fastjson.TypeString:
		to.SetStr(strings.ToValidUTF8(string(v.GetStringBytes()), "\uFFFD"))
	case fastjson.TypeNumber:
		number(to, string(v.MarshalTo(nil)))
	case fastjson.TypeTrue:
		to.SetBool(true)
	case fastjson.TypeFalse:
		to.SetBool(false)
	case fastjson.TypeObject:
		object := v.GetObject()
		m := to.SetEmptyMap()
		m.EnsureCapacity(object.Len())
		object.Visit(func(key []byte, v *fastjson.Value) { put(m.PutEmpty(string(key)), v) })
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
func number(to pcommon.Value, text string) {
	if strings.ContainsAny(text, ".eE") {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			to.SetDouble(f)
			return
		}
	} else if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		to.SetInt(i)
		return
	}
	to.SetStr(text)
}
