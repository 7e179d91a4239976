package realworld_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestLogHoldsNoSecret(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		c := newClient(t, databaseURL, "ann")
		c.run([]step{
			{do: "POST /api/users/login", body: `{"user": {"email": "ann@example.com", "password": "password"}}`, status: http.StatusOK},
			{do: "POST /api/users", body: `{"user": {"username": "x", "email": "ann@example.com", "password": "password"}}`, status: http.StatusConflict},
			{as: "ann", do: "GET /api/articles?token=hidden-in-the-query", status: http.StatusOK},
			{as: "ann", do: "PUT /api/user", body: `{"user": {"email": "second@example.com", "password": "new password"}}`, status: http.StatusOK},
		})
		log := c.log.String()
		for _, secret := range []string{"password\"", "new password", "example.com", "hidden-in-the-query", c.tokens["ann"], "argon2id"} {
			if strings.Contains(log, secret) {
				t.Errorf("the log holds %q:\n%s", secret, log)
			}
		}
		var line struct {
			RequestID string   `json:"request_id"`
			Method    string   `json:"method"`
			Path      string   `json:"path"`
			Route     string   `json:"route"`
			Status    int      `json:"status"`
			Latency   *float64 `json:"latency_ms"`
			Bytes     int      `json:"bytes"`
			UserID    string   `json:"user_id"`
		}
		lines := strings.Split(strings.TrimSpace(log), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
			t.Fatal(err)
		}
		if line.RequestID == "" || line.Method != "PUT" || line.Path != "/api/user" || line.Route != "/api/user" ||
			line.Status != http.StatusOK || line.Latency == nil || line.Bytes == 0 || line.UserID == "" {
			t.Errorf("incomplete: %s", lines[len(lines)-1])
		}
	})
}

func TestRequestID(t *testing.T) {
	c := newClient(t, databases[0].url(t))
	for _, test := range []struct {
		name, sent string
		kept       bool
	}{
		{"from a proxy", "4bf92f3577b34da6a3ce929d0e0e4736", true},
		{"a UUID", "0b5c7a3e-59a1-4d6e-9f0c-0d6b5e2a1c11", true},
		{"none", "", false},
		{"with a line break for the log", "aaaaaaaa\\nbbbb", false},
		{"with spaces", "aaaa bbbb cccc", false},
		{"too long", strings.Repeat("x", 65), false},
	} {
		r, err := http.NewRequest(http.MethodGet, c.server.URL+"/api/tags", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Request-Id", test.sent)
		response, _ := c.exchange(r)
		got := response.Header.Get("X-Request-Id")
		if got == "" || (got == test.sent) != test.kept {
			t.Errorf("%s: sent %q, got %q", test.name, test.sent, got)
		}
		if !strings.Contains(c.log.String(), `"request_id":"`+got+`"`) {
			t.Errorf("%s: %q is not in the log", test.name, got)
		}
	}
}

func TestCORS(t *testing.T) {
	c := newClient(t, databases[0].url(t))
	r, err := http.NewRequest(http.MethodOptions, c.server.URL+"/api/articles/some-slug", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "https://front.example")
	r.Header.Set("Access-Control-Request-Method", "PUT")
	r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
	response, _ := c.exchange(r)
	allowed := strings.ToLower(response.Header.Get("Access-Control-Allow-Headers"))
	if response.StatusCode != http.StatusNoContent || response.Header.Get("Access-Control-Allow-Origin") != "*" ||
		!strings.Contains(response.Header.Get("Access-Control-Allow-Methods"), "PUT") ||
		!strings.Contains(allowed, "authorization") || !strings.Contains(allowed, "content-type") {
		t.Errorf("preflight: %s %v", response.Status, response.Header)
	}
	// An error too must be readable by the front end.
	if response, _ := c.send("", "GET /api/user", ""); response.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("no Access-Control-Allow-Origin on %s", response.Status)
	}
}

func TestMethodNotAllowedSaysWhatIs(t *testing.T) {
	c := newClient(t, databases[0].url(t))
	response, _ := c.send("", "PATCH /api/articles/x/comments/1", "")
	if got := response.Header.Get("Allow"); response.StatusCode != http.StatusMethodNotAllowed || got != "DELETE, OPTIONS" {
		t.Errorf("%s, Allow: %q", response.Status, got)
	}
}

func TestMetricsAreNotForTheOtherSideOfAProxy(t *testing.T) {
	c := newClient(t, databases[0].url(t))
	request, err := http.NewRequest(http.MethodGet, c.server.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", "192.0.2.1")
	response, err := c.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("a proxy got %s", response.Status)
	}
}

func TestMetrics(t *testing.T) {
	c := newClient(t, databases[0].url(t), "ann")
	c.run([]step{{do: "GET /api/articles/unknown", status: http.StatusNotFound}, {do: "GET /nowhere", status: http.StatusNotFound}})
	response, err := c.server.Client().Get(c.server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`realworld_http_requests_total{method="GET",route="/api/articles/{slug}",status="404"} 1`,
		`realworld_http_requests_total{method="GET",route="none",status="404"} 1`,
		`realworld_http_request_duration_seconds_count{method="POST",route="/api/users"} 1`,
		"realworld_http_requests_in_flight 1", "realworld_database_connections_open", "realworld_database_connections_busy",
		"realworld_password_hashes_working 0", "realworld_password_hashes_waiting 0", "process_resident_memory_bytes", "go_goroutines",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	if strings.Contains(string(body), "unknown") {
		t.Error("a path became a label")
	}
}

func TestReadinessFollowsTheDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, databaseURL string) {
		c := newClient(t, databaseURL)
		c.run([]step{{do: "GET /readyz", status: http.StatusOK}})
		if err := c.store.Close(); err != nil {
			t.Fatal(err)
		}
		c.run([]step{
			{do: "GET /readyz", status: http.StatusServiceUnavailable, want: `{"status": "database does not answer"}`},
			{do: "GET /healthz", status: http.StatusOK},
		})
	})
}
