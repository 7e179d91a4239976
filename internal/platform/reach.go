package platform

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/provider"
)

// reachTime bounds how long the ingress may take to serve hosts whose pods are
// there: after a start that is when they have found their database.
const reachTime = 3 * time.Minute

// Reach waits until every host is healthy through berth's own ingress, as seen from
// outside. Kubernetes alone cannot tell: when a cluster starts again, its pods have
// the readiness from before the stop until their kubelets have probed them.
func Reach(ctx context.Context, cluster *provider.Cluster, hosts []string, health config.Health, r progress.Reporter) error {
	if len(hosts) == 0 || cluster.Ingress == nil || cluster.Authority == nil {
		return nil
	}
	pem, err := os.ReadFile(cluster.Authority.File())
	if err != nil {
		return fmt.Errorf("read the certificate to trust: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DisableKeepAlives: true,
		// No name server knows the hosts.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, cluster.Ingress.HTTPS)
		},
		ForceAttemptHTTP2: true,
	}}
	if health.Status != 0 {
		// The status is that of this answer, not of where it leads.
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	ctx, cancel := context.WithTimeoutCause(ctx, reachTime, fmt.Errorf("not within %s", reachTime))
	defer cancel()
	return progress.Run(r, "Ask every host", func(step progress.Step) error {
		for _, host := range hosts {
			step.Detail(host)
			if err := reach(ctx, client, "https://"+host, health); err != nil {
				return fault.WithHint(fmt.Errorf("%s does not answer: %w", host, err), "see what is wrong with: berth status")
			}
		}
		return nil
	})
}

// reach tries until an address is healthy or ctx ends.
func reach(ctx context.Context, client *http.Client, url string, health config.Health) error {
	var last error
	err := poll.Until(ctx, 250*time.Millisecond, func(ctx context.Context) (bool, error) {
		err := answers(ctx, client, url, health)
		if ctx.Err() == nil || last == nil {
			last = err // one that the deadline cut off says nothing of the host
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}

func answers(ctx context.Context, client *http.Client, url string, health config.Health) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+health.Path, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if !health.Accepts(response.StatusCode) {
		return fmt.Errorf("%s: %s", request.URL.Path, response.Status)
	}
	return nil
}
