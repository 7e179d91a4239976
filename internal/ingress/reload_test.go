package ingress_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// load sends requests until it is stopped and counts what goes wrong.
type load struct {
	t              *testing.T
	stop           chan struct{}
	wait           sync.WaitGroup
	sent, failures atomic.Int64
}

func startLoad(t *testing.T) *load { return &load{t: t, stop: make(chan struct{})} }

// add starts a client that keeps its connection alive and sends one request
// after the other, with a pause between. It speaks HTTP/2 if the configuration
// does not name another protocol.
func (l *load) add(method, url, host string, pause time.Duration, tlsConfig *tls.Config) {
	http2 := tlsConfig != nil && len(tlsConfig.NextProtos) == 0
	transport := &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: http2}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	l.wait.Go(func() {
		defer transport.CloseIdleConnections()
		for {
			select {
			case <-l.stop:
				return
			case <-time.After(pause):
			}
			l.sent.Add(1)
			err := send(client, method, url, host)
			if err != nil && http2 && method == http.MethodGet {
				// See TestReloadUnderLoad.
				err = send(client, method, url, host)
			}
			if err != nil && l.failures.Add(1) <= 5 {
				l.t.Errorf("%s %s every %s: %v", method, url, pause, err)
			}
		}
	})
}

func send(client http.Client, method, url, host string) error {
	request, err := http.NewRequest(method, url, bytes.NewReader([]byte("some body")))
	if err != nil {
		return err
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || string(body) != "ok" {
		return fmt.Errorf("%s: %q", response.Status, body)
	}
	return nil
}

func (l *load) end() {
	close(l.stop)
	l.wait.Wait()
	l.t.Logf("%d requests, %d failures", l.sent.Load(), l.failures.Load())
	if l.failures.Load() > 0 {
		l.t.Errorf("%d of %d requests failed", l.failures.Load(), l.sent.Load())
	}
}

func okServer(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(server.Close)
	return server
}

// TestReloadUnderLoad reloads again and again while clients keep their
// connections alive, over HTTP/1.1, HTTP/1.1 in TLS and HTTP/2. A POST is the
// hard case: no client may send it a second time by itself.
//
// Over HTTP/2 only GETs are sent, and sent again if the connection breaks, as
// browsers do: a worker of NGINX that is told to quit while a stream is open
// closes the connection after it without a GOAWAY frame, and no configuration
// prevents that.
func TestReloadUnderLoad(t *testing.T) {
	ca := newAuthority(t)
	first, second := okServer(t), okServer(t)
	var o ingress.Objects
	addService(&o, "web", address(first))
	o.Secrets = []*corev1.Secret{ca.secret("tls", "web.example")}
	o.Ingresses = append(o.Ingresses,
		annotate(withTLS(newIngress("web", "web.example", "/ web"), "tls"), ingress.AnnotationSSLRedirect, "false"))
	server := nginxtest.New(t)
	server.Serve(o)

	l := startLoad(t)
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		for _, pause := range []time.Duration{0, 5 * time.Millisecond, 5 * time.Millisecond, 30 * time.Millisecond} {
			l.add(method, "http://"+server.HTTP(), "web.example", pause, nil)
			l.add(method, "https://"+server.HTTPS(), "web.example", pause,
				&tls.Config{RootCAs: ca.pool(), ServerName: "web.example", NextProtos: []string{"http/1.1"}})
			if method == http.MethodGet {
				l.add(method, "https://"+server.HTTPS(), "web.example", pause,
					&tls.Config{RootCAs: ca.pool(), ServerName: "web.example"})
			}
		}
	}
	for i := range *reloads {
		servers := []string{address(first), address(second)}
		o.EndpointSlices = newSlices("web", servers[i%2:i%2+1]...)
		server.Serve(o)
	}
	l.end()
}

// TestEndpointDies checks that a request goes to another endpoint when one
// refuses connections: an idempotent one, and a POST too.
func TestEndpointDies(t *testing.T) {
	dying, staying := okServer(t), okServer(t)
	var o ingress.Objects
	addService(&o, "web", address(dying), address(staying))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.example", "/ web"))
	server := nginxtest.New(t)
	server.Serve(o)
	dying.Close()
	for range 20 {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if err := send(http.Client{}, method, "http://"+server.HTTP(), "web.example"); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestStopFinishesRequests checks that a request in flight is answered when
// NGINX is told to stop.
func TestStopFinishesRequests(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(slow.Close)
	var o ingress.Objects
	addService(&o, "web", address(slow))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.example", "/ web"))
	server := nginxtest.New(t)
	server.Serve(o)

	result := make(chan error, 1)
	go func() { result <- send(http.Client{}, http.MethodPost, "http://"+server.HTTP(), "web.example") }()
	<-arrived
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		stopped <- server.Stop(ctx)
	}()
	time.Sleep(400 * time.Millisecond)
	close(release)
	if err := <-result; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// TestReloadDuringAHandshake checks that a client of HTTP/2 whose connection was
// just being made when NGINX was reloaded does not stay with the old endpoints:
// the old worker, which does not notice that it should close such a connection,
// knows the new ones too.
func TestReloadDuringAHandshake(t *testing.T) {
	ca := newAuthority(t)
	named := func(name string) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
		t.Cleanup(server.Close)
		return server
	}
	before, after := named("before"), named("after")
	var o ingress.Objects
	addService(&o, "web", address(before))
	o.Secrets = []*corev1.Secret{ca.secret("tls", "web.example")}
	o.Ingresses = append(o.Ingresses, withTLS(newIngress("web", "web.example", "/ web"), "tls"))
	server := nginxtest.New(t)
	server.Serve(o)

	// A worker has accepted it and waits for the handshake.
	early, err := net.Dial("tcp", server.HTTPS())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	o.EndpointSlices = newSlices("web", address(after))
	o.Ingresses = append(o.Ingresses, newIngress("other", "other.example", "/ web"))
	server.Serve(o)

	dials := 0
	transport := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		connection := early
		if dials++; dials > 1 {
			if connection, err = (&net.Dialer{}).DialContext(ctx, network, server.HTTPS()); err != nil {
				return nil, err
			}
		}
		secure := tls.Client(connection, &tls.Config{RootCAs: ca.pool(), ServerName: "web.example", NextProtos: []string{"h2"}})
		return secure, secure.HandshakeContext(ctx)
	}}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	last := ""
	for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(20 * time.Millisecond) {
		response, err := client.Post("https://web.example/", "text/plain", nil)
		if err != nil {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.ProtoMajor != 2 {
			t.Fatalf("HTTP/%d, %v", response.ProtoMajor, err)
		}
		last = string(body)
	}
	if last != "after" {
		t.Errorf("three seconds after the reload it is served by the endpoint %q, over %d connections", last, dials)
	}
}
