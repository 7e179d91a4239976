package containerlog

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"berth/collector/structure"
)

// A record holds the line as it was written, but for its secrets.
func TestPutTo(t *testing.T) {
	at := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	var parser structure.Parser
	for text, want := range map[string]string{
		`{"msg":"m",  "status":200}`:    `{"msg":"m",  "status":200}`,
		`{"msg":"m","password":"x"}`:    `{"msg":"m","password":"[redacted]"}`,
		"Authorization: Bearer abcdef0": "Authorization: [redacted]",
		"ä\xff":                         "ä\uFFFD",
		"":                              "",
	} {
		to := plog.NewLogRecord()
		record{at, stderr, []byte(text)}.putTo(to, &parser, at.Add(time.Second))
		if to.Body().Str() != want || !to.Timestamp().AsTime().Equal(at) || !to.ObservedTimestamp().AsTime().Equal(at.Add(time.Second)) {
			t.Errorf("%q became %q at %v, seen %v", text, to.Body().Str(), to.Timestamp(), to.ObservedTimestamp())
		}
		if stream, _ := to.Attributes().Get("log.iostream"); stream.Str() != "stderr" {
			t.Errorf("the stream is %q", stream.Str())
		}
	}
	to := plog.NewLogRecord()
	record{text: []byte("no time")}.putTo(to, &parser, at)
	if !to.Timestamp().AsTime().Equal(at) {
		t.Errorf("without a time of its own, the line's is %v", to.Timestamp())
	}
}

func TestPodOf(t *testing.T) {
	for _, file := range []string{"3.log", "3.log.20260820-100000", "3.log.20260820-100000.gz"} {
		got := podOf("/var/log/pods/production_realworld-7d9c6bf5d-x2k4q_0b5e1c3e-1111/realworld/" + file)
		if want := (pod{"production", "realworld-7d9c6bf5d-x2k4q", "0b5e1c3e-1111", "realworld", "3"}); got != want {
			t.Errorf("%s is of %+v, want %+v", file, got, want)
		}
	}
}
