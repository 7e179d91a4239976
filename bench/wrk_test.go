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

func TestScript(t *testing.T) {
	for _, test := range []struct {
		load load
		want string
	}{
		{load{name: "list", path: "/api/articles", token: "abc"}, ""},
		{load{name: "login", path: "/login", body: `{"user": "me"}`}, `wrk.method = "POST"
wrk.body = "{\"user\": \"me\"}"
wrk.headers["Content-Type"] = "application/json"
`},
		{load{name: "mix", turns: []load{{path: "/list"}, {path: "/feed", token: "abc"}}}, `local requests, turn = {}, 0
function init()
	table.insert(requests, wrk.format("GET", "/list", {}))
	table.insert(requests, wrk.format("GET", "/feed", {Authorization = "Token abc"}))
end
function request()
	turn = turn % #requests + 1
	return requests[turn]
end
`},
	} {
		if got := script(test.load); got != test.want {
			t.Errorf("%s: got:\n%s\nwant:\n%s", test.load.name, got, test.want)
		}
	}
}
