package main

import (
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	const output = `Running 2s test @ http://127.0.0.1:8000/api/tags
  2 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.94ms    2.04ms  31.96ms   89.02%
    Req/Sec    10.05k   615.32    11.26k    70.00%
  Latency Distribution
     50%    1.25ms
     75%    2.40ms
     90%    4.34ms
     99%    9.87ms
  40012 requests in 2.00s, 22.93MB read
Requests/sec:  19994.33
Transfer/sec:     11.46MB
`
	got, err := parseWrk(output)
	if want := (figures{19994.33, 40012, 9870 * time.Microsecond}); err != nil || got != want {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", output + "  Non-2xx or 3xx responses: 12\n", output + "  Socket errors: connect 0, read 1, write 0, timeout 0\n"} {
		if _, err := parseWrk(bad); err == nil {
			t.Errorf("taken: %q", bad)
		}
	}
}
