package config

import (
	"slices"
	"strings"
	"testing"
)

func TestWhereLogLinesGo(t *testing.T) {
	hosted := "LOGS_ENDPOINT=https://in.example.com\nLOGS_API_KEY=key\nLOGS_SOURCE_ID=me\n"
	for _, c := range []struct {
		what, keys, env string
		sinks           []string
		mistake         string
	}{
		{"to the bucket", "", "", []string{"bucket"}, ""},
		{"and to the aggregator that .env names", "", hosted, []string{"bucket", "otlp"}, ""},
		{"to what berth.yaml names", "logs: {sinks: [frames]}\n", hosted, []string{"frames"}, ""},
		{"nowhere", "logs: {sinks: [none]}\n", hosted, nil, ""},
		{"to a sink that is not known", "logs: {sinks: [timber]}\n", "", nil, `one is "timber"`},
		{"twice", "logs: {sinks: [bucket, bucket]}\n", "", nil, "named twice"},
		{"nowhere and somewhere", "logs: {sinks: [none, bucket]}\n", "", nil, "must stand alone"},
		{"without a key", "logs: {sinks: [otlp]}\n", "LOGS_ENDPOINT=https://in.example.com\n", nil, "needs LOGS_API_KEY in .env"},
		{"without an endpoint", "logs: {sinks: [frames]}\n", "", nil, "needs LOGS_ENDPOINT in .env"},
		{"without a source", "logs: {sinks: [frames]}\n", "LOGS_ENDPOINT=https://in.example.com\nLOGS_API_KEY=key\n", nil, "needs LOGS_SOURCE_ID in .env"},
	} {
		got, err := Load(folder(t, map[string]string{File: live("") + c.keys, ".env": c.env}), nil)
		if err == nil {
			err = got.CheckLogSinks()
		}
		if c.mistake != "" {
			if err == nil || !strings.Contains(err.Error(), c.mistake) {
				t.Errorf("%s: got %v, want %q", c.what, err, c.mistake)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if !slices.Equal(got.LogSinks(), c.sinks) {
			t.Errorf("%s: got %v, want %v", c.what, got.LogSinks(), c.sinks)
		}
	}
}
