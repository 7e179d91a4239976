package frames

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

func TestEncode(t *testing.T) {
	resource := pcommon.NewResource()
	resource.Attributes().PutStr("k8s.namespace.name", "production")
	resource.Attributes().PutStr("k8s.pod.name", "realworld-0")
	resource.Attributes().PutStr("k8s.pod.uid", "1")
	resource.Attributes().PutStr("service.name", "realworld")
	record := plog.NewLogRecord()
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Date(2026, 8, 20, 10, 0, 0, 5, time.UTC)))
	record.SetSeverityText("WARN")
	record.Body().SetStr("a <b>\n")
	record.Attributes().PutInt("status", 503)
	got, err := encode(record, contextOf(resource), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"dt":"2026-08-20T10:00:00.000000005Z","level":"warn","message":"a <b>\n","fields":{"status":503},"context":{"kubernetes":{"namespace":"production","pod":"realworld-0","pod.uid":"1"},"service.name":"realworld"}}` + "\n"
	if string(got) != want {
		t.Errorf("the frame is\n%swant\n%s", got, want)
	}
}

// A line that is too long for a request is cut, until it fits, and says so.
func TestEncodeIsBounded(t *testing.T) {
	const most = 4 << 10
	for name, change := range map[string]func(plog.LogRecord){
		"a long message":               func(r plog.LogRecord) { r.Body().SetStr(strings.Repeat("x", 3*most)) },
		"characters that JSON escapes": func(r plog.LogRecord) { r.Body().SetStr(strings.Repeat("\x01", 3*most)) },
		"characters of several bytes":  func(r plog.LogRecord) { r.Body().SetStr(strings.Repeat("\u20ac", 3*most)) },
		"long fields": func(r plog.LogRecord) {
			r.Body().SetStr("message")
			r.Attributes().PutStr("field", strings.Repeat("x", 3*most))
		},
	} {
		record := plog.NewLogRecord()
		change(record)
		got, err := encode(record, nil, most)
		if err != nil {
			t.Fatal(err)
		}
		var frame frame
		if err := json.Unmarshal(got, &frame); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(got) > most || !frame.Truncated || frame.Message == "" || strings.Contains(frame.Message, "\uFFFD") {
			t.Errorf("%s: the frame has %d bytes, truncated %v, and the message %.20q", name, len(got), frame.Truncated, frame.Message)
		}
	}
}

// What a failed request had, and all after it, is to be sent again.
func TestFrom(t *testing.T) {
	logs := plog.NewLogs()
	for resource := range 3 {
		records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for line := range 2 {
			records.AppendEmpty().Body().SetInt(int64(2*resource + line))
		}
	}
	for begin := range 7 {
		rest := from(logs, begin)
		if got := rest.LogRecordCount(); got != 6-begin {
			t.Fatalf("from line %d on there are %d", begin, got)
		}
		if begin < 6 {
			if got := rest.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Int(); got != int64(begin) {
				t.Errorf("from line %d on the first is %d", begin, got)
			}
		}
	}
}
