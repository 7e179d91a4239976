package api

import (
	"context"
	"net/http"
	"time"

	"berth/internal/realworld/store"
)

// An exchange is one request and its response.
type exchange struct {
	http.ResponseWriter
	request *http.Request
	ctx     context.Context // ends when the client goes or Timeout is over
	start   time.Time
	id      string
	route   string     // the pattern that matched, "" for none
	viewer  store.User // who is logged in; nobody has the number 0
	status  int
	bytes   int64
	failure error // why the status is 5xx
}

// WriteHeader notes the status on its way.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes on their way.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}
