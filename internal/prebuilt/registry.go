package prebuilt

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Repository opens a repository of a registry, with the logins that docker
// keeps. A registry on this machine may speak HTTP. One that says nothing for
// as long as patience is given up.
func Repository(name string, patience time.Duration) (*remote.Repository, error) {
	repository, err := remote.NewRepository(name)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: min(patience, 10*time.Second)}).DialContext
	transport.TLSHandshakeTimeout = patience
	transport.ResponseHeaderTimeout = patience
	client := &auth.Client{Client: &http.Client{Transport: transport}, Cache: auth.NewCache()}
	if logins, err := credentials.NewStoreFromDocker(credentials.StoreOptions{}); err == nil {
		client.Credential = credentials.Credential(logins)
	}
	repository.Client = client
	repository.PlainHTTP = loopback(repository.Reference.Host())
	return repository, nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// explain makes a registry's answer a few words.
func explain(err error, repository string) string {
	host, _, _ := strings.Cut(repository, "/")
	var answer *errcode.ErrorResponse
	var network net.Error
	switch {
	case errors.Is(err, errWrongBytes), errors.Is(err, errStalled): // the words of these two are enough
		for _, known := range []error{errWrongBytes, errStalled} {
			if errors.Is(err, known) {
				return known.Error()
			}
		}
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Sprintf("it wants a login (status %d): docker login %s", answer.StatusCode, host)
	case errors.Is(err, errdef.ErrNotFound), errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return "it is not there (status 404)"
	case errors.As(err, &answer):
		return fmt.Sprintf("the registry answers %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the download was cut off again and again"
	case errors.As(err, &network) && network.Timeout():
		return errStalled.Error()
	case errors.As(err, &network):
		return "it cannot be reached: " + network.Error()
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
