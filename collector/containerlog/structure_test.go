package containerlog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog"
)

func TestFill(t *testing.T) {
	when := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		text, body, attributes, level string
		number                        plog.SeverityNumber
	}{
		{`{"msg":"m","level":"INFO","a":1}`, "m", `{"a":1}`, "INFO", plog.SeverityNumberInfo},
		{`{"message":"m","severity":"warning","msg":2}`, "m", `{"msg":2}`, "warning", plog.SeverityNumberWarn},
		{`{"msg":"m","level":30}`, "m", `{}`, "INFO", plog.SeverityNumberInfo},
		{`{"msg":"m","level":"ERROR+2"}`, "m", `{}`, "ERROR+2", plog.SeverityNumberError},
		{`{"msg":"m","level":"high"}`, "m", `{"level":"high"}`, "", 0},
		{`{"msg":"m","level":3}`, "m", `{"level":3}`, "", 0},
		{`{"a":1}`, `{"a":1}`, `{"a":1}`, "", 0},
		{`{"msg":"m","n":{"a":[1,"b",null,{"c":true}]}}`, "m", `{"n":{"a":[1,"b",null,{"c":true}]}}`, "", 0},
		{`{"msg":"m","i":9007199254740993,"d":1.5,"e":1e3,"big":123456789012345678901234567890}`, "m", `{"big":"123456789012345678901234567890","d":1.5,"e":1000,"i":9007199254740993}`, "", 0},
		{`{"msg":"to jake@jake.jake","user":{"password":"x","email":"jake@jake.jake"},"tokens":["a"],"token":["a"],"secret":null}`,
			"to [redacted]", `{"secret":null,"token":"[redacted]","tokens":["a"],"user":{"email":"[redacted]","password":"[redacted]"}}`, "", 0},
		{`{"msg":"\ud800 \u0000 ä"}`, `\ud800 ` + "\x00 ä", `{}`, "", 0},
		{`{"msg":"cut off`, `{"msg":"cut off`, `{}`, "", 0},
		{`{} {}`, `{} {}`, `{}`, "", 0},
		{"", "", `{}`, "", 0},
		{"ä\xff", "ä\uFFFD", `{}`, "", 0},
		{"level=warn msg=x", "level=warn msg=x", `{}`, "WARN", plog.SeverityNumberWarn},
		{"2026/08/20 10:00:00 [error] 29#29: *1 open() failed", "2026/08/20 10:00:00 [error] 29#29: *1 open() failed", `{}`, "ERROR", plog.SeverityNumberError},
		{"2026-08-20 10:00:00 UTC [1] LOG:  ready", "2026-08-20 10:00:00 UTC [1] LOG:  ready", `{}`, "LOG", plog.SeverityNumberInfo},
		{"panic: no\n\ngoroutine 1 [running]:", "panic: no\n\ngoroutine 1 [running]:", `{}`, "FATAL", plog.SeverityNumberFatal},
		{"an error in a sentence", "an error in a sentence", `{}`, "", 0},
	} {
		record := plog.NewLogRecord()
		fill(record, written(test.text, when), when)
		attributes := record.Attributes().AsRaw()
		if attributes["log.iostream"] != "stderr" {
			t.Errorf("%s: the stream is %v", test.text, attributes["log.iostream"])
		}
		delete(attributes, "log.iostream")
		got, err := json.Marshal(attributes)
		if err != nil {
			t.Fatal(err)
		}
		if record.Body().Str() != test.body || string(got) != test.attributes {
			t.Errorf("%s\nbecame %q %s\nwant   %q %s", test.text, record.Body().Str(), got, test.body, test.attributes)
		}
		if record.SeverityText() != test.level || record.SeverityNumber() != test.number {
			t.Errorf("%s: the severity is %q %v, want %q %v", test.text, record.SeverityText(), record.SeverityNumber(), test.level, test.number)
		}
		if !record.Timestamp().AsTime().Equal(when) {
			t.Errorf("%s: the time is %v", test.text, record.Timestamp().AsTime())
		}
	}
}

func written(text string, when time.Time) record {
	return record{time: when, stream: stderr, text: []byte(text)}
}

func TestPodOf(t *testing.T) {
	for _, file := range []string{"3.log", "3.log.20260820-100000", "3.log.20260820-100000.gz"} {
		got := podOf("/var/log/pods/production_realworld-7d9c6bf5d-x2k4q_0b5e1c3e-1111/realworld/" + file)
		if want := (pod{"production", "realworld-7d9c6bf5d-x2k4q", "0b5e1c3e-1111", "realworld", "3"}); got != want {
			t.Errorf("%s is of %+v, want %+v", file, got, want)
		}
	}
}

// Any line makes a record that a sink can take, and no member of a JSON object is
// lost.
func FuzzFill(f *testing.F) {
	for _, seed := range []string{`{"msg":"m","level":"INFO","a":{"b":[1.5,null]}}`, `{"a":"\ud800"}`, "plain", "{", `{"a":1e999}`, "\xff", `{"level":-0}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		record := plog.NewLogRecord()
		fill(record, written(text, time.Now()), time.Now())
		logs := plog.NewLogs()
		record.CopyTo(logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
		encoded, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(encoded) || !json.Valid(encoded) {
			t.Errorf("%q became %q", text, encoded)
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
		if got := record.Attributes().Len() - 1; got < len(object)-found {
			t.Errorf("%q has %d members, and the record %d", text, len(object), got)
		}
	})
}

func BenchmarkFill(b *testing.B) {
	text := `{"time":"2026-08-20T10:00:07.440100649Z","level":"INFO","msg":"request","request_id":"GL7SD27Y5M6OWNY25J65NJLCGV","method":"GET","path":"/api/articles/some-article-31216","route":"/api/articles/{slug}","status":200,"latency_ms":5.089,"bytes":1327,"user_id":"1330"}`
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		fill(plog.NewLogRecord(), written(text, now), now)
	}
}
