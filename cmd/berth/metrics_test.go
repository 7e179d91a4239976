package main

import (
	"encoding/json"
	"testing"

	"berth/internal/release"
)

func TestMetrics(t *testing.T) {
	w := newWorld()
	got := w.berth(t, "metrics", "production", "--for", "20s")
	if got.status != succeeded {
		t.Fatalf("%+v", got)
	}
	w.wantCalls(t, "count production 20s")
	if want := `REV  PODS  REQUESTS  A SECOND  2xx  3xx  4xx  5xx  P50     P99
9    2     500       25.0      480  0    15   5    ≤ 25ms  ≤ 500ms
8    1     2         0.1       2    0    0    0    ≤ 25ms  > 10s
7    1     0         0.0       0    0    0    0    -       -
`; got.out != want {
		t.Errorf("stdout is\n%s, want\n%s", got.out, want)
	}
	var all []release.Requests
	if err := json.Unmarshal([]byte(newWorld().berth(t, "metrics", "production", "--json").out), &all); err != nil || len(all) != 3 || all[0].Classes["5xx"] != 5 {
		t.Errorf("as JSON: %+v, %v", all, err)
	}
	if got := newWorld().berth(t, "metrics", "production", "--for", "1ms"); got.status != misused {
		t.Errorf("a moment: %+v", got)
	}
}
