package api

import (
	"encoding/json"
	"net/http"
)

func (s *Server) tags(x *exchange) error {
	tags, err := s.store.Tags(x.ctx)
	if err != nil {
		return err
	}
	return s.json(x, http.StatusOK, struct {
		Tags json.RawMessage `json:"tags"`
	}{tags})
}
