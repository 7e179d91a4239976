package config

import (
	"strings"
	"testing"
)

func TestHowLongMetricsAreKept(t *testing.T) {
	for _, test := range []struct {
		line           string
		days           int
		kept, unwanted bool
		wrong          string
	}{
		{line: ""},
		{line: "metrics:\n"},
		{line: "metrics: 15d\n", days: 15, kept: true},
		{line: "metrics: 1d\n", days: 1, kept: true},
		{line: "metrics: 0\n", unwanted: true},
		{line: "metrics: 0d\n", wrong: `line 1: metrics: must be how many days metrics are kept, 1d to 365d, or 0 to keep none any more; it is "0d"`},
		{line: "metrics: 15\n", wrong: `it is "15"`},
		{line: "metrics: 366d\n", wrong: `it is "366d"`},
		{line: "metrics: -1d\n", wrong: `it is "-1d"`},
		{line: "metrics: 36h\n", wrong: `it is "36h"`},
		{line: "metrics: {keep: 15d}\n", wrong: "metrics: must be a text"},
	} {
		c, err := Load(folder(t, map[string]string{File: test.line + minimal}), nil)
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%q: got %v, want %q", test.line, err, test.wrong)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if m := c.Metrics; m.Kept() != test.kept || m.Unwanted() != test.unwanted || m.Days() != test.days {
			t.Errorf("%q: kept %v, unwanted %v, %d days", test.line, m.Kept(), m.Unwanted(), m.Days())
		}
	}
}
