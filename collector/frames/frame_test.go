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
	encoder, err := NewEncoder(resource)
	if err != nil {
		t.Fatal(err)
	}
	const context = `"context":{"kubernetes":{"namespace":"production","pod":"realworld-0","pod.uid":"1"},"service.name":"realworld"}`
	for body, want := range map[string]string{
		`{"level":"WARN","msg":"a <b>\n","status":503,"n":{"a":[1.50,null]}}`: `"level":"warn","message":"a <b>\n","fields":{"status":503,"n":{"a":[1.50,null]},"log.iostream":"stdout"}`,
		`{"msg":"m"}`:   `"message":"m","fields":{"log.iostream":"stdout"}`,
		"plain\n\ttext": `"message":"plain\n\ttext","fields":{"log.iostream":"stdout"}`,
	} {
		record := plog.NewLogRecord()
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Date(2026, 8, 20, 10, 0, 0, 5, time.UTC)))
		record.Body().SetStr(body)
		record.Attributes().PutStr("log.iostream", "stdout")
		want = `{"dt":"2026-08-20T10:00:00.000000005Z",` + want + "," + context + "}\n"
		if got := string(encoder.Encode(record, 1<<20)); got != want {
			t.Errorf("the frame is\n%swant\n%s", got, want)
		}
	}
}

// A line that is too long for a request is cut, until it fits, and says so.
func TestEncodeIsBounded(t *testing.T) {
	const most = 4 << 10
	long := strings.Repeat("x", 3*most)
	for name, test := range map[string]struct{ body, pod string }{
		"a long message":               {long, ""},
		"characters that JSON escapes": {strings.Repeat("\x01", 3*most), ""},
		"characters of several bytes":  {strings.Repeat("\u20ac", 3*most), ""},
		"long fields":                  {`{"msg":"message","field":"` + long + `"}`, ""},
		"a long context":               {`{"msg":"message"}`, long},
	} {
		resource, record := pcommon.NewResource(), plog.NewLogRecord()
		resource.Attributes().PutStr("k8s.pod.name", test.pod)
		record.Body().SetStr(test.body)
		encoder, err := NewEncoder(resource)
		if err != nil {
			t.Fatal(err)
		}
		got := encoder.Encode(record, most)
		var frame struct {
			Message   string
			Truncated bool
		}
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
