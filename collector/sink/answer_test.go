package sink

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-5": 0, "soon": 0, "999999999": time.Hour,
		now.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q means %v, want %v", header, got, want)
		}
	}
}

// What a sink says is shown to people: in one line, bounded, without secrets.
func TestDescribe(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("connection refused"), "connection refused"},
		{fmt.Errorf("send: %w", &Answer{Status: 401, Text: oneLine("bad key\n")}), "401 Unauthorized: bad key"},
		{&Answer{Status: 503}, "503 Service Unavailable"},
		{&Answer{Status: 599, Text: "x"}, "599: x"},
		{errors.New("a\x1b[31m\r\nb\x00"), "a [31m b"},
		{errors.New(`the key "abc" is wrong: Authorization: Bearer abc`), `the key "abc" is wrong: Authorization: [redacted]`},
		{errors.New(strings.Repeat("ä", 300)), strings.Repeat("ä", 150) + "…"},
	} {
		if got := describe(test.err); got != test.want {
			t.Errorf("%q is shown as %q, want %q", test.err, got, test.want)
		}
	}
}

// The headers that aggregators know a sender by, as docs/logs.md lists them.
func TestCredentials(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://s1.eu-nbg-2.betterstackdata.com":              "map[Authorization:Bearer key]",
		"https://otlp-gateway-prod-eu-west-2.grafana.net/otlp": "map[Authorization:Basic c291cmNlOmtleQ==]",
		"https://otlp.datadoghq.com":                           "map[dd-api-key:key]",
		"https://otlp.us5.datadoghq.com":                       "map[dd-api-key:key]",
		"https://api.axiom.co":                                 "map[Authorization:Bearer key X-Axiom-Dataset:source]",
		"https://collector.example.com:4318":                   "map[Authorization:Bearer key]",
		"https://notgrafana.net":                               "map[Authorization:Bearer key]",
		"https://grafana.net.example.com":                      "map[Authorization:Bearer key]",
	} {
		if got := fmt.Sprint(credentials(endpoint, "source", "key")); got != want {
			t.Errorf("%s: %s, want %s", endpoint, got, want)
		}
	}
}
