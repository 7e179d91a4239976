package rehearsal

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"

	"berth/internal/progress"
	"berth/internal/release"
	"berth/internal/session"
)

const (
	// rounds is how often a request is made, for the quickest.
	rounds = 3
	// patience bounds one request, and allPatience all of an image's.
	patience, allPatience = 10 * time.Second, time.Minute
	// largest is how much of an answer is read.
	largest = 4 << 20
)

// ask makes every request to one of the images, and that for its health first.
func (h *Rehearsal) ask(ctx context.Context, side release.Side, all []request) (replies []Reply, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	address, err := h.forward(ctx, session.Forward{Process: side.Process, Remote: side.Port})
	if err != nil {
		return nil, err
	}
	a := asker{scheme: "http", address: address, host: side.Host, client: &http.Client{
		Timeout: patience,
		// The answer is this one, not where it leads.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// The certificate is berth's own, and nobody is between.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec
	}}
	if side.TLS {
		a.scheme = "https"
	}
	defer a.client.CloseIdleConnections()
	limited, stop := context.WithTimeout(ctx, allPatience)
	defer stop()
	return a.all(limited, all), ctx.Err()
}

// forward opens a port of the copy's pods on this machine, until ctx ends.
func (h *Rehearsal) forward(ctx context.Context, f session.Forward) (address string, err error) {
	listening, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- h.sessions.Forward(ctx, f, progress.Discard, func(address, _ string) { listening <- address })
	}()
	select {
	case address = <-listening:
		return address, nil
	case err := <-ended:
		return "", fmt.Errorf("reach the copy's pods: %w", err)
	}
}

// asker makes requests at an address.
type asker struct {
	client                *http.Client
	scheme, address, host string
}

func (a asker) all(ctx context.Context, all []request) []Reply {
	replies := make([]Reply, len(all))
	for round := range rounds {
		for i, r := range all {
			reply := a.get(ctx, r.path)
			if round == 0 || reply.Status != 0 && (replies[i].Status == 0 || reply.Milliseconds < replies[i].Milliseconds) {
				replies[i] = reply
			}
		}
	}
	return replies
}

// get makes one request, without anything that would tell whose it is.
func (a asker) get(ctx context.Context, path string) Reply {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.scheme+"://"+a.address+path, nil)
	if err != nil {
		return Reply{}
	}
	if a.host != "" {
		request.Host = a.host
	}
	// As the ingress says: an application that wants HTTPS would but redirect.
	request.Header.Set("X-Forwarded-Proto", "https")
	request.Header.Set("User-Agent", "berth rehearse")
	began := time.Now()
	response, err := a.client.Do(request)
	if err != nil {
		return Reply{}
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, largest)); err != nil {
		return Reply{}
	}
	return Reply{response.StatusCode, float64(time.Since(began).Microseconds()) / 1000}
}
