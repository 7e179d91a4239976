package api

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// requestID takes the id that a proxy gave the request, if it is well formed,
// or makes one: the same id then stands in everybody's log.
func requestID(r *http.Request) string {
	const shortest, longest = 8, 64
	id := r.Header.Get("X-Request-Id")
	if len(id) < shortest || len(id) > longest || strings.ContainsFunc(id, notInID) {
		return rand.Text()
	}
	return id
}

func notInID(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_' && r != '.'
}

// logAccess writes one line for a request. The line holds the path but not the
// query, the headers or the body, and of the user no more than the number.
func (s *Server) logAccess(x *exchange) {
	level := slog.LevelInfo
	switch {
	case x.failure != nil && x.status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case x.failure != nil:
		level = slog.LevelError
	case x.route == "/healthz", x.route == "/readyz", x.route == "/metrics":
		level = slog.LevelDebug
	}
	if !s.log.Enabled(x.ctx, level) {
		return
	}
	attributes := make([]slog.Attr, 0, 9)
	attributes = append(attributes,
		slog.String("request_id", x.id),
		slog.String("method", x.request.Method),
		slog.String("path", x.request.URL.Path),
		slog.String("route", x.route),
		slog.Int("status", x.status),
		slog.Float64("latency_ms", float64(time.Since(x.start).Microseconds())/1000),
		slog.Int64("bytes", x.bytes))
	if x.viewer.ID != 0 {
		attributes = append(attributes, slog.String("user_id", strconv.FormatInt(x.viewer.ID, 10)))
	}
	if x.failure != nil {
		attributes = append(attributes, slog.String("error", x.failure.Error()))
	}
	s.log.LogAttrs(x.ctx, level, "request", attributes...)
}
