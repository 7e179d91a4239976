package realworld_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/realworld/api"
	"berth/internal/realworld/password"
	"berth/internal/realworld/store"
	"berth/internal/realworld/token"
)

// fuzzed returns an API on each kind of database.
func fuzzed(f *testing.F) map[string]http.Handler {
	signer, err := token.NewSigner(secret)
	if err != nil {
		f.Fatal(err)
	}
	handlers := map[string]http.Handler{}
	for name, url := range map[string]string{
		"sqlite": "sqlite:///" + filepath.Join(f.TempDir(), "realworld.db"), "postgres": postgres.Database(f),
	} {
		data, err := store.Open(f.Context(), url)
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() {
			if err := data.Close(); err != nil {
				f.Error(err)
			}
		})
		handlers[name] = api.New(data, password.NewPool(2, 16, cheap), signer, slog.New(slog.DiscardHandler), []string{"*"})
	}
	return handlers
}

// Whatever a body holds, the answer is a decision and never a failure.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		newArticle, `{"user": {"username": "x", "email": "x@y", "password": "12345678"}}`, `{"comment": {"body": "x"}}`,
		``, `null`, `[]`, `{"article": null}`, `{"article": {"tagList": [null, {}, "\u0000"]}}`, `{"user": "\ud800"}`, "{\"user\": {\"bio\": \"\xff\"}}",
		`{"article": {"title": "\ud800", "description": "\u0001", "body": "\uffff", "tagList": ["\ud800\udc00"]}}`, `{"user": {"bio": "\u0000"}}`,
	} {
		f.Add(seed)
	}
	handlers := fuzzed(f)
	tokens := map[string]string{}
	for name, handler := range handlers {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/api/users", strings.NewReader(`{"user": {"username": "ann", "email": "ann@example.com", "password": "password"}}`)))
		if answer.Code != http.StatusCreated {
			f.Fatal(answer.Body)
		}
		_, rest, _ := strings.Cut(answer.Body.String(), `"token":"`)
		tokens[name], _, _ = strings.Cut(rest, `"`)
		request := httptest.NewRequest(http.MethodPost, "/api/articles", strings.NewReader(newArticle))
		request.Header.Set("Authorization", "Token "+tokens[name])
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for name, handler := range handlers {
			for _, target := range []string{"POST /api/users", "POST /api/users/login", "PUT /api/user", "POST /api/articles", "PUT /api/articles/how-to-train", "POST /api/articles/how-to-train/comments"} {
				method, path, _ := strings.Cut(target, " ")
				request := httptest.NewRequest(method, path, strings.NewReader(body))
				request.Header.Set("Authorization", "Token "+tokens[name])
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, request)
				if answer.Code >= http.StatusInternalServerError || specification.check(method, path, answer.Code, answer.Body.Bytes()) != nil {
					t.Errorf("%s: %s with %q: %d %s", name, target, body, answer.Code, answer.Body)
				}
			}
		}
	})
}

// Whatever an address asks for, there is an answer.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"how-to-train", "", "\x00", "\xff", "'; DROP TABLE users; --", "%", "_", "../..", strings.Repeat("x", 5000), "$1"} {
		f.Add(seed, "20")
	}
	f.Add("x", "-1")
	f.Add("x", "9223372036854775807")
	handlers := fuzzed(f)
	f.Fuzz(func(t *testing.T, name, number string) {
		text, page := url.QueryEscape(name), url.QueryEscape(number)
		for database, handler := range handlers {
			for _, target := range []string{
				"/api/articles?tag=" + text, "/api/articles?author=" + text + "&favorited=" + text, "/api/articles?limit=" + page, "/api/articles?offset=" + page,
				"/api/articles/" + url.PathEscape(name), "/api/profiles/" + url.PathEscape(name), "/api/articles/" + url.PathEscape(name) + "/comments",
			} {
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, target, nil))
				if answer.Code >= http.StatusInternalServerError {
					t.Errorf("%s: %s: %d %s", database, target, answer.Code, answer.Body)
				}
			}
		}
	})
}
