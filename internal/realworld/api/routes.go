package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// access is what a route wants to know of who calls.
type access int

const (
	public   access = iota // nothing: a token is not even looked at
	optional               // who it is, if a token says so
	login                  // who it is; without a token nobody gets in
)

// A method is how a route answers one HTTP method.
type method struct {
	access access
	handle func(*exchange) error
}

type methods map[string]method

// routes is the whole API. Each path answers with and without a slash at its end.
func (s *Server) routes() {
	s.route("/api/users", methods{http.MethodPost: {public, s.register}})
	s.route("/api/users/login", methods{http.MethodPost: {public, s.login}})
	s.route("/api/user", methods{
		http.MethodGet: {login, s.currentUser},
		http.MethodPut: {login, s.updateUser},
	})
	s.route("/api/profiles/{username}", methods{http.MethodGet: {optional, s.profile}})
	s.route("/api/profiles/{username}/follow", methods{
		http.MethodPost:   {login, s.follow},
		http.MethodDelete: {login, s.unfollow},
	})
	s.route("/api/articles", methods{
		http.MethodGet:  {optional, s.articles},
		http.MethodPost: {login, s.createArticle},
	})
	s.route("/api/articles/feed", methods{http.MethodGet: {login, s.feed}})
	s.route("/api/articles/{slug}", methods{
		http.MethodGet:    {optional, s.article},
		http.MethodPut:    {login, s.updateArticle},
		http.MethodDelete: {login, s.deleteArticle},
	})
	s.route("/api/articles/{slug}/favorite", methods{
		http.MethodPost:   {login, s.favorite},
		http.MethodDelete: {login, s.unfavorite},
	})
	s.route("/api/articles/{slug}/comments", methods{
		http.MethodGet:  {optional, s.comments},
		http.MethodPost: {login, s.createComment},
	})
	s.route("/api/articles/{slug}/comments/{id}", methods{http.MethodDelete: {login, s.deleteComment}})
	s.route("/api/tags", methods{http.MethodGet: {public, s.tags}})

	s.route("/healthz", methods{http.MethodGet: {public, s.healthz}})
	s.route("/readyz", methods{http.MethodGet: {public, s.readyz}})
	metrics := promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{})
	s.route("/metrics", methods{http.MethodGet: {public, func(x *exchange) error {
		// They are for who reaches the pod itself. A proxy always says which client it
		// asks for, and nobody outside can take that away.
		if x.request.Header.Get("X-Forwarded-For") != "" {
			return notFound("path")
		}
		metrics.ServeHTTP(x, x.request)
		return nil
	}}})
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.fail(w.(*exchange), notFound("path"))
	})
}

// route serves a path. The methods are told apart here rather than by the mux,
// whose 404 and 405 are not JSON.
func (s *Server) route(path string, methods methods) {
	allowed := append(slices.Sorted(maps.Keys(methods)), http.MethodOptions)
	if get, ok := methods[http.MethodGet]; ok {
		methods[http.MethodHead] = get
		allowed = append(allowed, http.MethodHead)
	}
	allow := strings.Join(allowed, ", ")

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		x.request, x.route = r, path
		method, ok := methods[r.Method]
		switch {
		case ok:
			if err := s.call(x, method); err != nil {
				s.fail(x, err)
			}
		case r.Method == http.MethodOptions:
			x.Header().Set("Allow", allow)
			x.WriteHeader(http.StatusNoContent)
		default:
			x.Header().Set("Allow", allow)
			s.fail(x, problem{http.StatusMethodNotAllowed, messages{"method": {"is not allowed"}}})
		}
	})
	s.mux.Handle(path, handler)
	s.mux.Handle(path+"/{$}", handler)
}

// call finds out who calls before the handler looks at anything else.
func (s *Server) call(x *exchange, m method) error {
	if m.access != public {
		if err := s.authenticate(x); err != nil {
			return err
		}
		if m.access == login && x.viewer.ID == 0 {
			return unauthorized("token", "is missing")
		}
	}
	return m.handle(x)
}

// authenticate finds the user that a token names. No token is nobody; one that
// is not good is an error, as its owner believes to be logged in. Another
// scheme of authorization is for somebody on the way, such as a proxy.
func (s *Server) authenticate(x *exchange) error {
	scheme, token, _ := strings.Cut(x.request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Token") {
		return nil
	}
	id, err := s.tokens.User(strings.TrimSpace(token))
	if err != nil {
		return unauthorized("token", "is invalid")
	}
	user, found, err := s.store.UserByID(x.ctx, id)
	if err != nil {
		return err
	}
	if !found {
		return unauthorized("token", "is invalid")
	}
	x.viewer = user
	return nil
}
