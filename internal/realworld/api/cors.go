package api

import (
	"net/http"
	"slices"
)

// cors lets browser front ends of other origins call the API (the Fetch
// standard, "CORS protocol"). Credentials in the sense of the standard are
// cookies, which the API does not use, so "*" gives nobody's rights away.
type cors struct {
	any     bool
	origins []string
}

func newCORS(origins []string) cors {
	return cors{any: slices.Contains(origins, "*"), origins: origins}
}

// answer sets the headers that every response needs and answers a preflight.
func (c cors) answer(x *exchange) (done bool) {
	header := x.Header()
	origin := x.request.Header.Get("Origin")
	if !c.any {
		header.Add("Vary", "Origin")
		if !slices.Contains(c.origins, origin) {
			return false
		}
		header.Set("Access-Control-Allow-Origin", origin)
	} else {
		header.Set("Access-Control-Allow-Origin", "*")
	}
	header.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
	if x.request.Method != http.MethodOptions || x.request.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	x.route = "preflight"
	header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id, X-Requested-With")
	header.Set("Access-Control-Max-Age", "7200")
	x.WriteHeader(http.StatusNoContent)
	return true
}
