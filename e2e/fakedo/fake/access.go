package fake

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// LackScope takes a scope from a token, as "kubernetes:create". A token has all
// scopes otherwise, and any token is good.
func (f *Fake) LackScope(token, scope string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lacking[token] = append(f.lacking[token], scope)
}

// allowed reports whether a token has the scope that a request needs.
func (f *Fake) allowed(token string, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !slices.Contains(f.lacking[token], scopeOf(r))
}

// bearer returns the request's token.
func bearer(r *http.Request) (string, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token, ok && token != ""
}

// scopeOf names the scope that a request needs, by the rule of the API's
// reference: the kind of resource and what the method does to it.
// https://docs.digitalocean.com/reference/api/scopes/
func scopeOf(r *http.Request) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	resource := strings.TrimSuffix(first, "s")
	switch {
	case first == "kubernetes":
		resource = first
		if strings.HasSuffix(rest, "/credentials") || strings.HasSuffix(rest, "/kubeconfig") {
			return "kubernetes:access_cluster"
		}
	case first == "spaces":
		resource = "spaces_key"
	case first == "volumes":
		resource = "block_storage"
	case first == "registries":
		resource = "registry"
	case first == "sizes", first == "regions", first == "actions":
		resource = first
	}
	if first == "projects" && strings.HasSuffix(rest, "/resources") && r.Method == http.MethodPost {
		return "project:update"
	}
	switch r.Method {
	case http.MethodPost:
		return resource + ":create"
	case http.MethodPut, http.MethodPatch:
		return resource + ":update"
	case http.MethodDelete:
		return resource + ":delete"
	}
	return resource + ":read"
}

func itoa(n int) string { return strconv.Itoa(n) }
