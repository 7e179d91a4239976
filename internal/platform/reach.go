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

	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/provider"
)

// reachTime bounds how long the ingress may take to serve hosts whose pods are
// there: after a start that is when they have found their database.
const reachTime = 3 * time.Minute

// Reach waits until berth's own ingress answers for every host with 200 at a
// path, as whoever comes from outside sees it. Kubernetes alone cannot tell:
// when a cluster starts again, pods are said to be as ready as they were when
// it was stopped, until their kubelets have looked.
func Reach(ctx context.Context, cluster *provider.Cluster, hosts []string, path string, r progress.Reporter) error {
	if cluster.Ingress == nil || cluster.Authority == nil {
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
	ctx, cancel := context.WithTimeoutCause(ctx, reachTime, fmt.Errorf("not within %s", reachTime))
	defer cancel()
	return progress.Run(r, "Ask every host", func(step progress.Step) error {
		for _, host := range hosts {
			step.Detail(host)
			if err := reach(ctx, client, "https://"+host+path); err != nil {
				return fault.WithHint(fmt.Errorf("%s does not answer: %w", host, err), "see what is wrong with: berth status")
			}
		}
		return nil
	})
}

// reach tries until an address answers or ctx ends.
func reach(ctx context.Context, client *http.Client, url string) error {
	var last error
	err := kube.Poll(ctx, 250*time.Millisecond, func(ctx context.Context) (bool, error) {
		err := answers(ctx, client, url)
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

func answers(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", request.URL.Path, response.Status)
	}
	return nil
}
