package structure

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"berth/logline"
)

// lines are what programs write, and what is to be understood of it.
var lines = []struct {
	text, message, level string
	number               plog.SeverityNumber
	// members are those that are left, as they stand in the text, and attributes
	// those of OpenTelemetry where they differ.
	members, attributes string
}{
	{text: `{"msg":"m","level":"INFO","a":1}`, message: "m", level: "INFO", number: plog.SeverityNumberInfo, members: `"a":1`},
	{text: `{"message":"m","severity":"warning","msg":2}`, message: "m", level: "warning", number: plog.SeverityNumberWarn, members: `"msg":2`},
	{text: `{"msg":"m","level":30,"msg":"n"}`, message: "m", level: "INFO", number: plog.SeverityNumberInfo, members: `"msg":"n"`},
	{text: `{"msg":"m","level":"ERROR+2"}`, message: "m", level: "ERROR+2", number: plog.SeverityNumberError},
	{text: `{"msg":"m","level":"high"}`, message: "m", members: `"level":"high"`},
	{text: `{"msg":"m","level":3}`, message: "m", members: `"level":3`},
	{text: `{"a":1}`, message: `{"a":1}`, members: `"a":1`},
	{text: `{"msg":"m", "n": {"a": [1, "b", null, {"c": true}]}}`, message: "m", members: `"n":{"a":[1,"b",null,{"c":true}]}`},
	{text: `{"msg":"m","b":"\u0000\"\\\n\u00e4","a":"\ud800 <&>"}`, message: "m", members: `"b":"\u0000\"\\\nä","a":"\\ud800 <&>"`,
		attributes: `{"a":"\\ud800 \u003c\u0026\u003e","b":"\u0000\"\\\nä"}`},
	{text: `{"msg":"m","i":9007199254740993,"d":1.50,"e":1e3}`, message: "m", members: `"i":9007199254740993,"d":1.50,"e":1e3`,
		attributes: `{"d":1.5,"e":1000,"i":9007199254740993}`},
	{text: `{"msg":"m","big":123456789012345678901234567890}`, message: "m", members: `"big":123456789012345678901234567890`,
		attributes: `{"big":"123456789012345678901234567890"}`},
	{text: `{"msg":"m","no":NaN,"odd":1-2}`, message: "m", members: `"no":"NaN","odd":"1-2"`},
	{text: `{"msg":"\ud800 \u0000 ä"}`, message: `\ud800 ` + "\x00 ä"},
	{text: `{"msg":"cut off`, message: `{"msg":"cut off`},
	{text: `{} {}`, message: `{} {}`},
	{text: `[1]`, message: `[1]`},
	{text: "", message: ""},
	{text: "level=warn msg=x", message: "level=warn msg=x", level: "WARN", number: plog.SeverityNumberWarn},
	{text: "2026/08/20 10:00:00 [error] 29#29: *1 open() failed", message: "2026/08/20 10:00:00 [error] 29#29: *1 open() failed", level: "ERROR", number: plog.SeverityNumberError},
	{text: "2026-08-20 10:00:00 UTC [1] LOG:  ready", message: "2026-08-20 10:00:00 UTC [1] LOG:  ready", level: "LOG", number: plog.SeverityNumberInfo},
	{text: "panic: no\n\ngoroutine 1 [running]:", message: "panic: no\n\ngoroutine 1 [running]:", level: "FATAL", number: plog.SeverityNumberFatal},
	{text: "an error in a sentence", message: "an error in a sentence"},
}

func TestParse(t *testing.T) {
	var p Parser
	for _, want := range lines {
		l := p.Parse(want.text)
		if members := string(l.AppendMembers(nil)); l.Message != want.message || l.Level != want.level || members != want.members {
			t.Errorf("%s\nbecame %q, level %q, %s\nwant   %q, level %q, %s", want.text, l.Message, l.Level, members, want.message, want.level, want.members)
		}
	}
}

func TestRecords(t *testing.T) {
	at := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	for _, want := range lines {
		record := Records(written(want.text, at)).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		if record.Body().Str() != want.message || record.SeverityText() != want.level || record.SeverityNumber() != want.number {
			t.Errorf("%s\nbecame %q, %q %v\nwant   %q, %q %v", want.text, record.Body().Str(), record.SeverityText(), record.SeverityNumber(), want.message, want.level, want.number)
		}
		attributes := record.Attributes().AsRaw()
		if attributes["log.iostream"] != "stderr" || !record.Timestamp().AsTime().Equal(at) || !record.ObservedTimestamp().AsTime().Equal(at) {
			t.Errorf("%s: the stream is %v, the times %v and %v", want.text, attributes["log.iostream"], record.Timestamp(), record.ObservedTimestamp())
		}
		delete(attributes, "log.iostream")
		got, err := json.Marshal(attributes)
		if err != nil {
			t.Fatal(err)
		}
		if want.attributes == "" {
			want.attributes = "{" + want.members + "}"
		}
		if string(got) != want.attributes {
			t.Errorf("%s: the attributes are\n%s, want\n%s", want.text, got, want.attributes)
		}
	}
}

// written is a record as it waits in a queue.
func written(text string, at time.Time) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("k8s.pod.name", "realworld-0")
	record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(at))
	record.Body().SetStr(text)
	record.Attributes().PutStr("log.iostream", "stderr")
	return logs
}

func TestRedact(t *testing.T) {
	var p Parser
	for _, test := range []struct{ text, want string }{
		{`{"msg":"to jake@jake.jake", "user":{"password":"x","email":"jake@jake.jake"},"tokens":[7],"token":["a"],"secret":null}`,
			`{"msg":"to [redacted]","user":{"password":"[redacted]","email":"[redacted]"},"tokens":[7],"token":"[redacted]","secret":null}`},
		{`{"jake@jake.jake":1e9,"a":[{"b":"password=x"}],"pass\u0077ord":"x\"y"}`, `{"[redacted]":1e9,"a":[{"b":"password=[redacted]"}],"password":"[redacted]"}`},
		// What has no secret stays as it was, blanks included.
		{`{"msg": "m",  "a": 1.50}`, `{"msg": "m",  "a": 1.50}`},
		{`{"password":"cut off`, `{"password":"[redacted]`},
		{"password=x", "password=[redacted]"},
		{"", ""},
	} {
		if got := p.Redact(test.text); got != test.want {
			t.Errorf("%s\nbecame %s\nwant   %s", test.text, got, test.want)
		}
	}
}

// Any line can be sent to any sink, and no member of a JSON object is lost.
func FuzzLine(f *testing.F) {
	for _, want := range lines {
		f.Add(want.text)
	}
	for _, seed := range []string{`{"a":1e999}`, `{"level":-0}`, `{"a":"` + "\x01\u2028" + `"}`, `{"password":{"a":[]}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p Parser
		// As the receiver does.
		text = p.Redact(strings.ToValidUTF8(text, "\uFFFD"))
		l := p.Parse(text)
		members := "{" + string(l.AppendMembers(nil)) + "}"
		message := string(logline.AppendString(nil, l.Message))
		logs := Records(written(text, time.Now()))
		encoded, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
		if err != nil {
			t.Fatal(err)
		}
		for _, encoded := range []string{members, message, string(encoded)} {
			if !utf8.ValidString(encoded) || !json.Valid([]byte(encoded)) {
				t.Errorf("%q became %q", text, encoded)
			}
		}
		var object map[string]any
		if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &object) != nil {
			return
		}
		special := map[string]bool{"msg": true, "message": true, "level": true, "severity": true, "lvl": true}
		found := 0
		for name := range object {
			if special[name] {
				found++
			}
		}
		record := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		if got := record.Attributes().Len() - 1; got < len(object)-found {
			t.Errorf("%q has %d members, and the record %d", text, len(object), got)
		}
	})
}

const accessLine = `{"time":"2026-08-20T10:00:07.440100649Z","level":"INFO","msg":"request","request_id":"GL7SD27Y5M6OWNY25J65NJLCGV","method":"GET","path":"/api/articles/some-article-31216","route":"/api/articles/{slug}","status":200,"latency_ms":5.089,"bytes":1327,"user_id":"1330"}`

func BenchmarkRedact(b *testing.B) {
	var p Parser
	b.ReportAllocs()
	for b.Loop() {
		p.Redact(accessLine)
	}
}

func BenchmarkParse(b *testing.B) {
	var p Parser
	var to []byte
	b.ReportAllocs()
	for b.Loop() {
		l := p.Parse(accessLine)
		to = l.AppendMembers(to[:0])
	}
}
