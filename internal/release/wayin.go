package release

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"berth/internal/kube"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// wayIn returns nil once requests from outside reach an environment, whose pods
// are the new revision's alone by now. Nothing is asked of the application: that
// it is this one that a host belongs to is told by the certificate that the
// ingress serves the host with, and by the Events of the Ingress.
//
// Where berth knows no address of the ingress, as DNS may not resolve a host
// yet, the Events are all that is looked at.
func (c *Client) wayIn(ctx context.Context, environment string, since time.Time, step progress.Step) error {
	hosts := c.config.Environments[environment].Hosts
	if len(hosts) == 0 {
		return nil
	}
	step.Detail("asking through the ingress")
	s, err := rollout.Take(ctx, kube.API{Interface: c.kube}, environment)
	if err != nil {
		return fmt.Errorf("look at the ingress: %w", err)
	}
	if reasons := s.IngressReasons(c.config.Name, since); len(reasons) > 0 {
		return &rollout.Error{Reasons: reasons}
	}
	if c.cluster.Ingress == nil || c.cluster.Authority == nil {
		return nil
	}
	secret, err := kube.OwnSecret(ctx, c.kube, environment, c.config.Name+"-tls")
	if err != nil || secret == nil {
		return err
	}
	for _, host := range hosts {
		if err := c.reached(ctx, environment, host, secret.Data[core.TLSCertKey], since); err != nil {
			return err
		}
	}
	return nil
}

// errElsewhere is of a host that is served with another's certificate.
var errElsewhere = errors.New("another application has the host, and answers for it")

// reached asks a host by the address of berth's own ingress until the
// application answers.
func (c *Client) reached(ctx context.Context, environment, host string, chain []byte, since time.Time) error {
	own, _ := pem.Decode(chain)
	if own == nil {
		return fmt.Errorf("the certificate of %s is not PEM", host)
	}
	// Any name fits a wildcard.
	name := strings.Replace(host, "*", "berth-asks", 1)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, c.cluster.Ingress.HTTPS)
		},
		// Whose certificate it is, is looked at closer than by its issuer.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, own.Bytes) {
				return errElsewhere
			}
			return nil
		}},
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var last error
	within, cancel := context.WithTimeout(ctx, c.timeouts.wayIn)
	defer cancel()
	err := poll.Until(within, c.timeouts.poll, func(ctx context.Context) (bool, error) {
		err := answers(ctx, client, "https://"+name+c.config.Health.Path)
		if ctx.Err() == nil || last == nil {
			last = err // one that the time limit cut off says nothing of the host
		}
		return err == nil, nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	reason := rollout.Reason{Object: "host " + host, Reason: "Unreachable", Message: fmt.Sprintf("the pods are ready, but through the ingress: %v", last)}
	if errors.Is(last, errElsewhere) {
		reason.Reason, reason.Message = "Conflict", errElsewhere.Error()
		reason.Hint = "hosts, in berth.yaml, are the application's own: take another, or remove the one that has it"
	}
	reasons := []rollout.Reason{reason}
	if s, err := rollout.Take(ctx, kube.API{Interface: c.kube}, environment); err == nil {
		if said := s.IngressReasons(c.config.Name, since); len(said) > 0 {
			reasons = said
		}
	}
	return &rollout.Error{Reasons: reasons}
}

// answers sends one request. Any answer of the application will do; an error is what
// the ingress answers in its place.
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
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return errors.New(response.Status)
	}
	return nil
}
