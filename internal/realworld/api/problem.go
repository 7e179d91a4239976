package api

import (
	"context"
	"errors"
	"net/http"

	"berth/internal/realworld/password"
	"berth/internal/realworld/store"
)

// messages are the errors of a response, by what they are about.
type messages map[string][]string

func (m messages) add(about, message string) { m[about] = append(m[about], message) }

// invalid returns the messages as a problem with the input, or nil if there are none.
func (m messages) invalid() error {
	if len(m) == 0 {
		return nil
	}
	return problem{http.StatusUnprocessableEntity, m}
}

// A problem is an error that the client is told of.
type problem struct {
	status   int
	messages messages
}

func (p problem) Error() string { return http.StatusText(p.status) }

const (
	blank = "can't be blank"
	taken = "has already been taken"
)

func notFound(about string) error {
	return problem{http.StatusNotFound, messages{about: {"not found"}}}
}

func unauthorized(about, message string) error {
	return problem{http.StatusUnauthorized, messages{about: {message}}}
}

// statusClientGone is logged, never sent: the client did not wait for an answer.
const statusClientGone = 499

// fail answers with an error.
func (s *Server) fail(x *exchange, err error) {
	p := asProblem(err)
	if p.status >= http.StatusInternalServerError {
		x.failure = err
	}
	switch p.status {
	case http.StatusUnauthorized:
		x.Header().Set("WWW-Authenticate", "Token")
	case http.StatusServiceUnavailable:
		x.Header().Set("Retry-After", "1")
	case statusClientGone:
		x.status = p.status
		return
	}
	if err := s.json(x, p.status, struct {
		Errors messages `json:"errors"`
	}{p.messages}); err != nil {
		s.log.Error("encode errors", "request_id", x.id, "error", err)
	}
}

func asProblem(err error) problem {
	var p problem
	var missing store.NotFoundError
	var foreign store.ForbiddenError
	var double store.TakenError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &missing):
		return problem{http.StatusNotFound, messages{missing.Resource: {"not found"}}}
	case errors.As(err, &foreign):
		return problem{http.StatusForbidden, messages{foreign.Resource: {"forbidden"}}}
	case errors.As(err, &double):
		return problem{http.StatusConflict, messages{double.Field: {taken}}}
	case errors.Is(err, context.Canceled):
		return problem{status: statusClientGone}
	case errors.Is(err, password.ErrBusy), errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return problem{http.StatusServiceUnavailable, messages{"server": {"is busy, try again"}}}
	}
	return problem{http.StatusInternalServerError, messages{"server": {"failed"}}}
}
