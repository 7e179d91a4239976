package fake

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"berth/internal/provider/digitalocean/scope"
)

// LackScope takes a scope from a token, as "kubernetes:create". A token has all
// scopes otherwise, and any token is good.
func (f *Fake) LackScope(token, scope string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lacking[token] = append(f.lacking[token], scope)
}

// Grant leaves a token these scopes alone.
func (f *Fake) Grant(token string, scopes ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.granted[token] = scopes
}

// allowed reports whether a token has the scopes that a request needs.
func (f *Fake) allowed(token string, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !slices.ContainsFunc(scope.Of(r.Method, r.URL.Path), func(needed string) bool { return !f.has(token, needed) })
}

// has reports whether a token has a scope. The account is locked.
func (f *Fake) has(token, scope string) bool {
	granted, custom := f.granted[token]
	return !slices.Contains(f.lacking[token], scope) && (!custom || slices.Contains(granted, scope))
}

// bearer returns the request's token.
func bearer(r *http.Request) (string, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token, ok && token != ""
}

// conceal leaves out of an answer what the request's token may not see: tags, and
// the credentials of databases. The account is locked.
func (f *Fake) conceal(r *http.Request, answer []byte) ([]byte, error) {
	token, _ := bearer(r)
	hidden := map[string]any{}
	if !f.has(token, scope.SeeTags) {
		hidden["tags"] = []any{}
	}
	if !f.has(token, scope.SeeCredentials) && strings.HasPrefix(r.URL.Path, "/v2/databases") {
		hidden["password"], hidden["uri"] = "", ""
	}
	if len(hidden) == 0 || len(answer) == 0 {
		return answer, nil
	}
	var body any
	if err := json.Unmarshal(answer, &body); err != nil {
		return nil, err
	}
	replace(body, hidden)
	return json.Marshal(body)
}

// replace puts other values under names, wherever in a body they are.
func replace(body any, values map[string]any) {
	switch body := body.(type) {
	case map[string]any:
		for name, value := range body {
			if other, ok := values[name]; ok {
				body[name] = other
				continue
			}
			replace(value, values)
		}
	case []any:
		for _, one := range body {
			replace(one, values)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
