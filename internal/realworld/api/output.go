package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// json answers with a JSON value.
func (s *Server) json(x *exchange, status int, value any) error {
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	header := x.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(buffer.Len()))
	x.WriteHeader(status)
	// A client that went away is no failure of ours, and nobody is left to tell.
	_, _ = x.Write(buffer.Bytes())
	return nil
}

func (s *Server) noContent(x *exchange) error {
	x.WriteHeader(http.StatusNoContent)
	return nil
}
