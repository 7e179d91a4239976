package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestTheMedianOfEachPhase(t *testing.T) {
	var reports []report
	for _, text := range []string{
		`{"good": true, "seconds": 60, "backup": {"bytes": 1000000000}, "phases": [{"name": "Restore backup b1", "seconds": 40}, {"name": "Ask both images", "seconds": 2}]}`,
		`{"good": true, "seconds": 90, "backup": {"bytes": 1000000000}, "phases": [{"name": "Restore backup b1", "seconds": 70}, {"name": "Ask both images", "seconds": 1}]}`,
		`{"good": true, "seconds": 80, "backup": {"bytes": 1000000000}, "phases": [{"name": "Restore backup b1", "seconds": 50}, {"name": "Ask both images", "seconds": 3}]}`,
	} {
		var r report
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		reports = append(reports, r)
	}
	var out bytes.Buffer
	if err := write(&out, reports); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := "s, median least most\n50.0 40.0 70.0 Restore backup b1\n2.0 1.0 3.0 Ask both images\n80.0 60.0 90.0 all, of a database of 1000 MB"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
