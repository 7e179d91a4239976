package api

import "net/http"

type healthOutput struct {
	Status string `json:"status"`
}

// healthz says that the process is alive. It asks nothing of the database:
// restarting this process would not bring that back.
func (s *Server) healthz(x *exchange) error {
	return s.json(x, http.StatusOK, healthOutput{"alive"})
}

// readyz says whether requests should come here.
func (s *Server) readyz(x *exchange) error {
	if s.draining.Load() {
		return s.json(x, http.StatusServiceUnavailable, healthOutput{"stopping"})
	}
	if err := s.store.Ping(x.ctx); err != nil {
		x.failure = err
		return s.json(x, http.StatusServiceUnavailable, healthOutput{"database does not answer"})
	}
	return s.json(x, http.StatusOK, healthOutput{"ready"})
}
