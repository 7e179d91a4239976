package redact

import (
	"strings"
	"testing"
	"unicode/utf8"
)

const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.8z4v5LzjNl0fqK3xVQ9u0x7s"

func TestText(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		// What is no secret stays.
		{"", ""},
		{"request", "request"},
		{"GET /api/articles?tag=go&limit=20", "GET /api/articles?tag=go&limit=20"},
		{`{"status":200,"author":"jake","max_tokens":12}`, `{"status":200,"author":"jake","max_tokens":12}`},
		{"invalid token in expression", "invalid token in expression"},
		{"basic authentication", "basic authentication"},
		{"a@b, @ and x@", "a@b, @ and x@"},
		{"eyJust a word.", "eyJust a word."},
		{"password: null, token=true", "password: null, token=true"},
		{"http://localhost:8000/a:b", "http://localhost:8000/a:b"},

		// Names and values, as programs write them.
		{"password=hunter2", "password=[redacted]"},
		{"password: hunter2 for jake", "password: [redacted] for jake"},
		{"DB_PASSWORD='a b c' x", "DB_PASSWORD='[redacted]' x"},
		{"?token=abc&next=1", "?token=[redacted]&next=1"},
		{`{"user":{"password":"a \" b","id":7}}`, `{"user":{"password":"[redacted]","id":7}}`},
		{`{"password":"ends in \\","id":7}`, `{"password":"[redacted]","id":7}`},
		{`{"password":12345,"id":7}`, `{"password":[redacted],"id":7}`},
		{`"{\"accessToken\":\"a \\\" b\",\"id\":7}"`, `"{\"accessToken\":\"[redacted]\",\"id\":7}"`},
		{`"{\"a\":\"{\\\"secret\\\":\\\"x\\\",\\\"id\\\":7}\"}"`, `"{\"a\":\"{\\\"secret\\\":\\\"[redacted]\\\",\\\"id\\\":7}\"}"`},
		{`{"secret":"never ends`, `{"secret":"[redacted]`},
		{"{'api_key': 'x', 'id': 7}", "{'api_key': '[redacted]', 'id': 7}"},
		{"X-Api-Key: abc\nHost: x", "X-Api-Key: [redacted]\nHost: x"},

		// Headers.
		{"Authorization: Token abc\nHost: x", "Authorization: [redacted]\nHost: x"},
		{"Authorization: abc", "Authorization: [redacted]"},
		{`"Authorization: Bearer abc" -d x`, `"Authorization: [redacted]" -d x`},
		{"Cookie: a=b; c=d\nHost: x", "Cookie: [redacted]\nHost: x"},
		{"map[Authorization:[Token abc def] Cookie:[a=b c=d] Host:[x]]", "map[Authorization:[[redacted]] Cookie:[[redacted]] Host:[x]]"},
		{`{"Cookie":["a=b","c=d"],"Host":["x"]}`, `{"Cookie":[[redacted]],"Host":["x"]}`},
		{`http.Header{"Cookie":[]string{"a=b", "c=d"}, "Host":[]string{"x"}}`, `http.Header{"Cookie":[]string{[redacted]}, "Host":[]string{"x"}}`},
		{`{"credentials":{"user":"a","id":7},"id":8}`, `{"credentials":{[redacted]},"id":8}`},

		// What looks like a secret whatever its name.
		{"sent Bearer abcdef0123 to it", "sent Bearer [redacted] to it"},
		{"sent Basic dXNlcjpwYXNzd29yZA== to it", "sent Basic [redacted] to it"},
		{"sent token " + jwt + " to it", "sent token [redacted] to it"},
		{"got " + jwt, "got [redacted]"},
		{jwt + " and " + jwt, "[redacted] and [redacted]"},
		{"cannot reach postgres://app:p:w@db:5432/app", "cannot reach postgres://[redacted]@db:5432/app"},
		{"redis://:pw@a and https://u:p@b/?x", "redis://[redacted]@a and https://[redacted]@b/?x"},

		// E-mail addresses.
		{"jake@jake.jake", "[redacted]"},
		{"from <jake.j+x@mail.example.com>.", "from <[redacted]>."},
		{"/users?email=jake%40jake.jake&a=b", "/users?email=[redacted]&a=b"},
		{"a@b.com, c@d.org", "[redacted], [redacted]"},
	} {
		if got := Text(test.text); got != test.want {
			t.Errorf("%s\nbecame %s\nwant   %s", test.text, got, test.want)
		}
	}
}

func TestIsSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"password": true, "Password": true, "DB_PASSWORD": true, "user.password": true, "token": true, "accessToken": true,
		"X-Api-Key": true, "Set-Cookie": true, "Proxy-Authorization": true, "CONDUIT_SECRET": true, "aws_secret_access_key": true,
		"status": false, "path": false, "author": false, "key": false, "tokens": true, "max_tokens": true, "token_count": false, "bypass": false, "DB_PASS": true, "password_changed": false, "": false, "pw": false,
	} {
		if got := IsSecret(name); got != want {
			t.Errorf("%q is secret: %v, want %v", name, got, want)
		}
	}
}

// Text stays text, and what was redacted is not redacted again: a line may pass
// more than once.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"password=x", `{"token":"x\"y"}`, "Authorization: Bearer " + jwt, "a@b.com", "postgres://a:b@c/d", `\"secret\":\"x\"`, "Cookie:[]string{\"a\"}", "eyJ..", "token=" + Mark} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := Text(text)
		if utf8.ValidString(text) && !utf8.ValidString(once) {
			t.Errorf("%q became %q, which is not UTF-8", text, once)
		}
		if len(once) > len(text)+len(Mark)*(strings.Count(text, "")+1) {
			t.Errorf("%q became %q", text, once)
		}
	})
}

// A secret in any text is gone, as long as its name stands before it.
func FuzzSecretIsGone(f *testing.F) {
	for _, seed := range []string{"", "a ", "{\"x\":", "Bearer ", "a@b.com ", "\\"} {
		f.Add(seed, " x")
	}
	const secret = "S3cr3tS3cr3tS3cr3t"
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.Contains(before+after, secret[:6]) {
			return
		}
		text := before + " password=" + secret + " " + after
		if got := Text(text); strings.Contains(got, secret) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// BenchmarkLong has a name over and over: what is looked at around each has a bound.
func BenchmarkLong(b *testing.B) {
	for _, part := range []string{"<token> ", "password=[ ", "token: Foo { ", "password: x ", `{<<"token">>,`, "PDO(a, ", `"Jwt:token", `, `token = Just "`} {
		text := strings.Repeat(part, 1<<16/len(part))
		b.Run(part, func(b *testing.B) {
			for b.Loop() {
				Text(text)
			}
		})
	}
}

func BenchmarkText(b *testing.B) {
	for _, text := range []string{"request", "/api/articles/how-to-train-your-dragon", `{"time":"2026-08-20T10:00:07.440100649Z","level":"INFO","msg":"request","request_id":"GL7SD27Y5M6OWNY25J65NJLCGV","status":200}`} {
		b.Run(text[:7], func(b *testing.B) {
			for b.Loop() {
				Text(text)
			}
		})
	}
}
