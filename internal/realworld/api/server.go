// Package api serves the RealWorld ("Conduit") API, version 2.0.0 of its
// specification, over HTTP.
//
// A request passes through [Server.ServeHTTP], which does what all of them
// need (request id, log line, metrics, time limit, CORS), to the routes in
// routes.go, which know who may call, to a handler in the file named for its
// resource. Handlers return errors; problem.go turns those into responses.
package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"berth/internal/realworld/password"
	"berth/internal/realworld/store"
	"berth/internal/realworld/token"
)

// Limits of one request.
const (
	// Timeout is how long the database and the hashing may take.
	Timeout = 10 * time.Second
	// MaxBody is the largest request body, in bytes.
	MaxBody = 1 << 20
)

// A Server is the API as an http.Handler.
type Server struct {
	store     *store.Store
	passwords *password.Pool
	tokens    *token.Signer
	log       *slog.Logger
	cors      cors
	metrics   *metrics
	mux       *http.ServeMux
	draining  atomic.Bool
}

// New returns a Server. Browsers of the given origins may call it; "*" stands
// for any.
func New(store *store.Store, passwords *password.Pool, tokens *token.Signer, log *slog.Logger, origins []string) *Server {
	s := &Server{store: store, passwords: passwords, tokens: tokens, log: log, cors: newCORS(origins), mux: http.NewServeMux()}
	s.metrics = newMetrics(store, passwords)
	s.routes()
	return s
}

// Drain makes the server say that it is about to stop: it is no longer ready,
// and it asks clients to make a new connection for their next request, so that
// none is under way on an old one when the server closes it.
func (s *Server) Drain() { s.draining.Store(true) }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), Timeout)
	defer cancel()
	x := &exchange{ResponseWriter: w, request: r, ctx: ctx, start: time.Now(), id: requestID(r)}
	w.Header().Set("X-Request-Id", x.id)
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	s.metrics.inFlight.Inc()
	defer func() {
		if reason := recover(); reason != nil {
			x.panicked(s, reason)
		}
		s.metrics.inFlight.Dec()
		s.metrics.observe(x)
		s.logAccess(x)
	}()
	if s.cors.answer(x) {
		return
	}
	s.mux.ServeHTTP(x, r)
}

// panicked answers for a handler that failed in a way nobody foresaw.
func (x *exchange) panicked(s *Server, reason any) {
	if reason == http.ErrAbortHandler {
		panic(reason)
	}
	s.log.Error("handler panicked", "request_id", x.id, "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
	if x.status == 0 {
		s.fail(x, fmt.Errorf("handler panicked: %v", reason))
	}
}
