//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// What berth.yaml and its defaults say.
const (
	httpAddress  = "127.0.0.1:8080"
	httpsAddress = "127.0.0.1:8443"
	production   = "realworld.localhost"
	staging      = "staging.realworld.localhost"
)

// authority is the certificate that clients are told to trust.
const authority = home + "/state/berth/ca.crt"

// site is the RealWorld API of one environment, as a client outside sees it.
type site struct {
	host   string
	client *http.Client
	token  string
}

func newSite(t *testing.T, host string) *site {
	t.Helper()
	return &site{host: host, client: &http.Client{
		Transport: transport(t, true), Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// transport trusts berth's authority alone and finds every host here.
func transport(t *testing.T, http2 bool) *http.Transport {
	t.Helper()
	pem, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", authority)
	}
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
		ForceAttemptHTTP2:   http2,
		MaxIdleConnsPerHost: 64,
	}
}

func (s *site) url(path string) string { return "https://" + s.host + ":8443" + path }

// request makes a request with a JSON body, unless it is nil.
func (s *site) request(method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, s.url(path), content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Token "+s.token)
	}
	return request, nil
}

// call makes a request that must be answered with 2xx and reads its answer.
func (s *site) call(t *testing.T, method, path string, body, into any) {
	t.Helper()
	request, err := s.request(method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
}

// object is any JSON object.
type object = map[string]any

// as registers a new user and returns the site as that user sees it.
func (s *site) as(t *testing.T, name string) *site {
	t.Helper()
	var answer struct {
		User struct{ Username, Token string }
	}
	s.call(t, "POST", "/api/users", object{"user": object{
		"username": name, "email": name + "@example.com", "password": "a password of " + name,
	}}, &answer)
	if answer.User.Username != name || answer.User.Token == "" {
		t.Fatalf("registered %q, got %+v", name, answer)
	}
	other := *s
	other.token = answer.User.Token
	return &other
}

// write writes an article and returns its slug.
func (s *site) write(t *testing.T, title string) (slug string) {
	t.Helper()
	var answer struct{ Article struct{ Slug string } }
	s.call(t, "POST", "/api/articles", object{"article": object{
		"title": title, "description": "about " + title, "body": strings.Repeat(title+". ", 50), "tagList": []string{"e2e", "berth"},
	}}, &answer)
	return answer.Article.Slug
}

// holds fails the test when articles are not there.
func (s *site) holds(t *testing.T, slugs ...string) {
	t.Helper()
	for _, slug := range slugs {
		var answer struct{ Article struct{ Slug string } }
		s.call(t, "GET", "/api/articles/"+slug, nil, &answer)
		if answer.Article.Slug != slug {
			t.Errorf("%s: article %s is not there: %+v", s.host, slug, answer)
		}
	}
}

// unique makes a name that no earlier run on the same cluster has used.
func unique(name string) string {
	return fmt.Sprintf("%s-%s", name, strings.ToLower(rand.Text()[:8]))
}
