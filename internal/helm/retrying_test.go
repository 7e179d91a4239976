package helm

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A busy API server is asked again, where that cannot do anything twice.
func TestRetrying(t *testing.T) {
	const apply = "application/apply-patch+yaml"
	busy := func(w http.ResponseWriter) { w.WriteHeader(http.StatusGatewayTimeout) }
	for name, test := range map[string]struct {
		method, content string
		fails           func(http.ResponseWriter)
		tries, status   int
	}{
		"read":                      {"GET", "", busy, 3, 200},
		"applied on the server":     {"PATCH", apply, busy, 3, 200},
		"lost":                      {"PATCH", apply, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 3, 200},
		"made":                      {"POST", "application/json", busy, 1, 504},
		"merged":                    {"PATCH", "application/merge-patch+json", busy, 1, 504},
		"removed":                   {"DELETE", "", busy, 1, 504},
		"refused":                   {"PATCH", apply, func(w http.ResponseWriter) { w.WriteHeader(http.StatusConflict) }, 1, 409},
		"a part of the API is away": {"GET", "", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, 1, 503},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Method != "GET" && string(body) != "all of it" {
					t.Errorf("the server got %q, %v", body, err)
				}
				if tries.Add(1) < 3 {
					test.fails(w)
				}
			}))
			defer server.Close()
			var body io.Reader
			if test.method != "GET" {
				body = strings.NewReader("all of it")
			}
			request, err := http.NewRequestWithContext(t.Context(), test.method, server.URL, body)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", test.content)
			response, err := retrying{http.DefaultTransport, time.Millisecond, time.Minute, time.Minute}.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != test.status || int(tries.Load()) != test.tries {
				t.Errorf("status %d after %d tries", response.StatusCode, tries.Load())
			}
		})
	}
}

// It ends with its time, and with who asked.
func TestRetryingEnds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) }))
	defer server.Close()
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for name, r := range map[string]retrying{
		"its time":  {http.DefaultTransport, time.Millisecond, 20 * time.Millisecond, time.Hour},
		"who asked": {http.DefaultTransport, time.Hour, time.Hour, time.Hour},
	} {
		ctx := t.Context()
		if name == "who asked" {
			ctx = soon
		}
		request, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := r.RoundTrip(request)
		if err != nil || response.StatusCode != http.StatusGatewayTimeout {
			t.Fatalf("%s: %v", name, err)
		}
		response.Body.Close()
	}
}

// A cluster that is away is not waited for as long as one that is busy.
func TestRetryingWhereNobodyAnswers(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	request, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := retrying{http.DefaultTransport, time.Millisecond, time.Hour, 20 * time.Millisecond}.RoundTrip(request)
	if err == nil {
		response.Body.Close()
		t.Error("there was an answer")
	}
}
