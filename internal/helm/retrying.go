package helm

import (
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// retrying sends a request again that an API server had no time for, or that was lost
// as it was started again: if it may be sent twice. Helm gives up a release at the first
// one that fails. What comes with Retry-After the client sends again by itself.
type retrying struct {
	next http.RoundTripper
	// pause is the time between two tries.
	pause time.Duration
	// busy is how long there are new ones after a server's own time limit, and lost
	// after no answer at all. Helm does not end a request with the command, so a
	// cluster that is away must not hold an interrupted one for long.
	busy, lost time.Duration
}

func newRetrying(next http.RoundTripper) http.RoundTripper {
	return retrying{next: next, pause: 2 * time.Second, busy: 2 * time.Minute, lost: 20 * time.Second}
}

func (r retrying) RoundTrip(request *http.Request) (*http.Response, error) {
	for began := time.Now(); ; {
		response, err := r.next.RoundTrip(request)
		limit := r.busy
		if err != nil {
			limit = r.lost
		}
		if !repeatable(request) || !unanswered(response, err) || time.Since(began) > limit {
			return response, err
		}
		select {
		case <-request.Context().Done():
			return response, err
		case <-time.After(r.pause):
		}
		once := request.Clone(request.Context())
		if request.GetBody != nil {
			body, bodyErr := request.GetBody()
			if bodyErr != nil {
				return response, err // which says more
			}
			once.Body = body
		}
		if response != nil {
			io.Copy(io.Discard, response.Body) //nolint:errcheck // so that its connection is used again
			response.Body.Close()
		}
		request = once
	}
}

// repeatable reports whether a request does the same when it is sent twice.
func repeatable(request *http.Request) bool {
	if request.Body != nil && request.Body != http.NoBody && request.GetBody == nil {
		return false
	}
	switch request.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPatch:
		return strings.HasPrefix(request.Header.Get("Content-Type"), string(types.ApplyYAMLPatchType))
	}
	return false
}

// unanswered reports whether nobody has done what was asked, and may soon.
func unanswered(response *http.Response, err error) bool {
	if err != nil {
		return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) ||
			utilnet.IsProbableEOF(err) || utilnet.IsTimeout(err)
	}
	return response.StatusCode == http.StatusGatewayTimeout
}
