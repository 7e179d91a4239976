package fake

import (
	"encoding/json"
	"net/http"
)

// endpoint does the work of one endpoint with the account locked, and returns
// the body of the answer, to be encoded as JSON; nil has none. A []byte goes out
// as it is.
type endpoint func(r *http.Request) (status int, body any, err error)

// handle routes a pattern of http.ServeMux to an endpoint.
func (f *Fake) handle(pattern string, e endpoint) {
	f.routes = append(f.routes, pattern)
	f.api.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.account.advance(f.options.Now(), f.options.Delay)
		status, body, err := e(r)
		if err == nil && r.Method != http.MethodGet {
			err = f.account.save(f.options.StateFile)
		}
		if err != nil {
			asAPIError(err).write(w, w.Header().Get("X-Request-Id"))
			return
		}
		if raw, ok := body.([]byte); ok {
			w.Header().Set("Content-Type", "application/yaml")
			w.WriteHeader(status)
			_, _ = w.Write(raw) // The client has gone: nobody is left to tell.
			return
		}
		encoded, err := json.Marshal(body)
		if err == nil && body != nil {
			encoded, err = f.conceal(r, encoded)
		}
		if err != nil {
			asAPIError(err).write(w, w.Header().Get("X-Request-Id"))
			return
		}
		w.WriteHeader(status)
		if body != nil {
			_, _ = w.Write(encoded)
		}
	})
}

// list returns an endpoint that lists in pages.
func list[T any](name string, all func(r *http.Request) []T) endpoint {
	return func(r *http.Request) (int, any, error) {
		body, err := page(r, name, all(r))
		return http.StatusOK, body, err
	}
}
