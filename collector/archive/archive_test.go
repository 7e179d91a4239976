package archive

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// An object is lines of JSON that any gzip can read, in the order in which they came.
func TestMarshalLogs(t *testing.T) {
	logs := plog.NewLogs()
	for _, pod := range []string{"realworld-0", "realworld-1"} {
		resource := logs.ResourceLogs().AppendEmpty()
		resource.Resource().Attributes().PutStr("k8s.pod.name", pod)
		records := resource.ScopeLogs().AppendEmpty().LogRecords()
		for _, text := range []string{`{"msg":"m","status":200}`, "plain"} {
			record := records.AppendEmpty()
			record.SetTimestamp(pcommon.Timestamp(5))
			record.Body().SetStr(text)
		}
	}
	object, err := encoding{}.MarshalLogs(logs)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"dt":"1970-01-01T00:00:00.000000005Z","message":"m","fields":{"status":200},"context":{"kubernetes":{"pod":"realworld-0"}}}
{"dt":"1970-01-01T00:00:00.000000005Z","message":"plain","fields":{},"context":{"kubernetes":{"pod":"realworld-0"}}}
{"dt":"1970-01-01T00:00:00.000000005Z","message":"m","fields":{"status":200},"context":{"kubernetes":{"pod":"realworld-1"}}}
{"dt":"1970-01-01T00:00:00.000000005Z","message":"plain","fields":{},"context":{"kubernetes":{"pod":"realworld-1"}}}
`
	if string(text) != want {
		t.Errorf("the object is\n%swant\n%s", text, want)
	}
}
