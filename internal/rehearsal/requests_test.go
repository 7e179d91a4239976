package rehearsal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth/internal/logs"
)

func TestRequestsOfLogLines(t *testing.T) {
	for _, test := range []struct{ name, line, path string }{
		{"slog", `{"method":"GET","path":"/api/articles/some-article","status":200}`, "/api/articles/some-article"},
		{"without the query", `{"method":"GET","url":"/reset?token=secret#top"}`, "/reset"},
		{"absolute", `{"request_method":"GET","request_uri":"https://shop.example/cart?x=1"}`, "/cart"},
		{"nested, as pino has it", `{"req":{"method":"GET","url":"/users/7","headers":{"cookie":"s=1"}},"res":{"statusCode":200}}`, "/users/7"},
		{"ECS", `{"http.request.method":"GET","url.path":"/ecs"}`, "/ecs"},
		{"small letters", `{"METHOD":"get","Path":"/x"}`, "/x"},
		{"another method", `{"method":"POST","path":"/orders"}`, ""},
		{"no method", `{"path":"/var/lib/app"}`, ""},
		{"what was hidden", `{"method":"GET","path":"/reset/[redacted]"}`, ""},
		{"Apache and gunicorn", `10.0.0.1 - - [27/Nov/2026:00:00:00 +0000] "GET /notes?a=b HTTP/1.1" 200 12 "-" "curl"`, "/notes"},
		{"uvicorn", `INFO:     10.0.0.1:4000 - "GET /items/3 HTTP/1.1" 200 OK`, "/items/3"},
		{"Rails", `Started GET "/posts/1" for 10.0.0.1 at 2026-11-27`, "/posts/1"},
		{"morgan", `GET /health 200 1.2 ms - 2`, "/health"},
		{"a post", `10.0.0.1 - - [x] "POST /notes HTTP/1.1" 201`, ""},
		{"a way to another host", `{"method":"GET","path":"//evil.example/x"}`, ""},
		{"a control character", "{\"method\":\"GET\",\"path\":\"/a\\r\\nX: y\"}", ""},
		{"a bad escape", `{"method":"GET","path":"/a%zz"}`, ""},
		{"a long one", `{"method":"GET","path":"/` + strings.Repeat("a", 600) + `"}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := logs.Line{Message: test.line}
			if strings.HasPrefix(test.line, "{") {
				if err := json.Unmarshal([]byte(test.line), &l.Fields); err != nil {
					t.Fatal(err)
				}
				l.Message = "request"
			}
			if got := pathOf(l); got != test.path {
				t.Errorf("got %q, want %q", got, test.path)
			}
		})
	}
}

func TestTheMostFrequentRequestsOfEachShape(t *testing.T) {
	r := &requests{times: map[string]int{"/": 5, "/login": 9}}
	for i := range 100 {
		r.times[fmt.Sprintf("/orders/%d", i)] = 2
	}
	var got []string
	for _, one := range r.chosen() {
		got = append(got, one.path)
	}
	if want := "/login / /orders/0 /orders/1 /orders/10"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.times = map[string]int{}
	for i := range 100 {
		r.times["/"+strings.Repeat("a", i%20)+string(rune('a'+i/20))] = 1
	}
	if n := len(r.chosen()); n != mostRequests {
		t.Errorf("%d are chosen of 100 shapes", n)
	}
}

func TestAskingSendsNothingButThePath(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.Host+r.URL.RequestURI()+" "+r.Header.Get("Cookie")+r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	a := asker{
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		scheme: "http", address: server.Listener.Addr().String(), host: "shop.example",
	}
	replies := a.all(t.Context(), []request{{path: "/a%20b"}, {path: "/moved"}, {path: "/broken"}})
	for i, want := range []int{200, 302, 500} {
		if replies[i].Status != want || replies[i].Milliseconds <= 0 {
			t.Errorf("answer %d is %+v, want %d", i, replies[i], want)
		}
	}
	if len(seen) != 3*rounds || seen[0] != "GET shop.example/a%20b " {
		t.Errorf("it was asked for %q", seen)
	}
	server.Close()
	if reply := a.get(t.Context(), "/"); reply.Status != 0 {
		t.Errorf("nobody answers with %+v", reply)
	}
}
