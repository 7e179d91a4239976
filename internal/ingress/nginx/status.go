package nginx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Get asks NGINX on its status socket for /generation, /stub_status or /counts.
func (s *Server) Get(ctx context.Context, path string) ([]byte, error) {
	return s.ask(ctx, http.MethodGet, path, nil)
}

func (s *Server) ask(ctx context.Context, method, path string, content []byte) ([]byte, error) {
	client := http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{
			// Each answer must come from a worker that accepts connections now.
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", s.Settings.StatusSocket())
			},
		},
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://nginx"+path, bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("ask nginx for %s: %w", path, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask nginx for %s: %w", path, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask nginx for %s: %s", path, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask nginx for %s: %w", path, err)
	}
	return body, nil
}

// maxAnswer is more than NGINX's counters can take.
const maxAnswer = 64 << 20
