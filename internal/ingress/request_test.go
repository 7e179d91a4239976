package ingress_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	corev1 "k8s.io/api/core/v1"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// dial opens a connection to NGINX that cannot hang a test.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// raw sends a request byte by byte as it is written and returns the response.
func raw(t *testing.T, address, request string) (*http.Response, string) {
	t.Helper()
	conn := dial(t, address)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil && err != io.ErrUnexpectedEOF {
		t.Fatalf("%q: %v", request, err)
	}
	return response, string(body)
}

// TestRoutedHost checks that an application is told the host that its request
// was routed by, whatever the client wrote beside it.
func TestRoutedHost(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Host, r.Header.Get("X-Forwarded-Host"))
	}))
	t.Cleanup(echo.Close)
	var o ingress.Objects
	addService(&o, "web", address(echo))
	timed := annotate(newIngress("own", "own.test", "/ web"), ingress.AnnotationReadTimeout, "1d") // has a server of its own
	unnamed := newIngress("unnamed", "", "/ web")
	o.Ingresses = append(o.Ingresses, newIngress("app", "app.test", "/ web"), timed, unnamed)
	server := nginxtest.New(t)
	server.Serve(o)
	for _, test := range []struct{ request, want string }{
		{"GET / HTTP/1.1\r\nHost: app.test\r\n", "app.test app.test"},
		{"GET / HTTP/1.1\r\nHost: APP.test:8080\r\n", "app.test:8080 app.test:8080"},
		{"GET / HTTP/1.1\r\nHost: own.test:8080\r\n", "own.test:8080 own.test:8080"},
		{"GET / HTTP/1.1\r\nHost: app.test.\r\n", "app.test app.test"},
		{"GET http://app.test/ HTTP/1.1\r\nHost: evil.test\r\n", "app.test app.test"},
		{"GET http://app.test HTTP/1.1\r\nHost: evil.test:1\r\n", "app.test app.test"},
		{"GET http://app.test:81/x?http://evil.test:82/ HTTP/1.1\r\nHost: evil.test\r\n", "app.test:81 app.test:81"},
		{"GET http://own.test/ HTTP/1.1\r\nHost: app.test\r\n", "own.test own.test"},
		{"GET / HTTP/1.1\r\nHost: app.test:80@evil.test\r\n", "app.test app.test"},
		{"GET / HTTP/1.1\r\nHost: app.test:evil.test\r\n", "app.test app.test"},
		{"GET / HTTP/1.1\r\nHost: app.test:123456\r\n", "app.test app.test"},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-Host: evil.test\r\n", "app.test app.test"},
		{"GET / HTTP/1.0\r\n", server.HTTP() + " " + server.HTTP()},
	} {
		response, body := raw(t, server.HTTP(), test.request+"Connection: close\r\n\r\n")
		if response.StatusCode != 200 || body != test.want {
			t.Errorf("%q: got %s %q, want %q", test.request, response.Status, body, test.want)
		}
	}
}

// TestConnectionFields checks that what concerns one connection goes no further
// and that nothing but a WebSocket is tunnelled.
func TestConnectionFields(t *testing.T) {
	ca := newAuthority(t)
	var mu sync.Mutex
	var got http.Header
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = r.Header.Clone()
		mu.Unlock()
		w.Header().Set("Upgrade", "h2,h2c")
		w.Header().Set("Proxy-Connection", "keep-alive")
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(echo.Close)
	var o ingress.Objects
	addService(&o, "web", address(echo))
	o.Secrets = []*corev1.Secret{ca.secret("tls", "tls.test")}
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.test", "/ web"), withTLS(newIngress("tls", "tls.test", "/ web"), "tls"))
	server := nginxtest.New(t)
	server.Serve(o)

	response, _ := raw(t, server.HTTP(), "GET /pub HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade, HTTP2-Settings, X-Hop\r\nUpgrade: h2c\r\n"+
		"HTTP2-Settings: AAMAAABkAAQAAP__\r\nX-Hop: 1\r\nX-End: 2\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: close\r\n"+
		"Proxy-Authorization: Basic eA==\r\nTrailer: X-T\r\n\r\n")
	mu.Lock()
	for _, name := range []string{"Upgrade", "Connection", "Http2-Settings", "X-Hop", "Keep-Alive", "Te", "Proxy-Connection", "Proxy-Authorization", "Trailer"} {
		if value, ok := got[name]; ok {
			t.Errorf("the upstream got %s: %s", name, value)
		}
	}
	if got.Get("X-End") != "2" || got.Get("X-Real-Ip") != "127.0.0.1" {
		t.Errorf("the upstream got %v", got)
	}
	mu.Unlock()
	if response.StatusCode != 200 || response.Header.Get("Upgrade") != "" || response.Header.Get("Proxy-Connection") != "" {
		t.Errorf("the client got %s %v", response.Status, response.Header)
	}
	// It names fields in any of its lines, however short their names are.
	for _, fields := range []string{
		"Connection: x-hop\r\nConnection: close\r\nX-Hop: 1", "Connection: close\r\nConnection: x, x-hop\r\nX-Hop: 1",
		"Connection: x-hop\r\nX-Hop: 1", strings.Repeat("X-Many: 1\r\n", 120) + "Connection:x-hop\r\nX-Hop: 1",
	} {
		raw(t, server.HTTP(), "GET / HTTP/1.1\r\nHost: web.test\r\n"+fields+"\r\n\r\n")
		mu.Lock()
		if got.Get("X-Hop") != "" {
			t.Errorf("%.60q: the upstream got X-Hop", fields)
		}
		mu.Unlock()
	}
	// A field that frames or routes the request is not the client's to remove.
	response, body := raw(t, server.HTTP(), "POST / HTTP/1.1\r\nHost: web.test\r\nConnection: host, content-length, x-real-ip\r\nContent-Length: 2\r\n\r\nhi")
	if response.StatusCode != 200 || body != "ok" {
		t.Errorf("the client got %s %q", response.Status, body)
	}
	mu.Lock()
	if got.Get("X-Real-Ip") != "127.0.0.1" {
		t.Errorf("the upstream got %v", got)
	}
	mu.Unlock()
	// A stream of HTTP/2 is not upgraded.
	mu.Lock()
	got = nil
	mu.Unlock()
	sendOver2(t, server.HTTPS(), ca, "tls.test", "connection", "upgrade", "upgrade", "websocket")
	mu.Lock()
	if got == nil || got.Get("Upgrade") != "" || got.Get("Connection") != "" {
		t.Errorf("the upstream got %v", got)
	}
	mu.Unlock()
	over2, err := httpsClient(t, ca, "tls.test").Do(request(t, "https://"+server.HTTPS()+"/", "tls.test"))
	if err != nil {
		t.Fatal(err)
	}
	defer over2.Body.Close()
	if over2.ProtoMajor != 2 || over2.Header.Get("Upgrade") != "" {
		t.Errorf("over %s: %v", over2.Proto, over2.Header)
	}
}

// sendOver2 sends a GET over HTTP/2 with fields that Go's client refuses to send,
// and waits for the answer.
func sendOver2(t *testing.T, address string, ca *authority, host string, fields ...string) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: host, RootCAs: ca.pool(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields = append([]string{":method", "GET", ":scheme", "https", ":authority", host, ":path", "/"}, fields...)
	for i := 0; i < len(fields); i += 2 {
		if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	framer := http2.NewFramer(conn, conn)
	_, err = io.WriteString(conn, http2.ClientPreface)
	err = errors.Join(err, framer.WriteSettings(),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}))
	for err == nil {
		var frame http2.Frame
		if frame, err = framer.ReadFrame(); err == nil && frame.Header().Type == http2.FrameHeaders {
			return
		}
	}
	t.Fatal(err)
}

// TestStreaming checks that what an application has written reaches the client
// before it writes more: with a length for each chunk, and without any.
func TestStreaming(t *testing.T) {
	next := make(chan struct{})
	stream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/close" {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
			<-next
			fmt.Fprint(conn, "data: 2\n\n")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-next
		fmt.Fprint(w, "data: 2\n\n")
	}))
	t.Cleanup(stream.Close)
	var o ingress.Objects
	addService(&o, "web", address(stream))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.test", "/ web"))
	server := nginxtest.New(t)
	server.Serve(o)
	for _, path := range []string{"/chunked", "/close"} {
		client := http.Client{Timeout: 20 * time.Second}
		response, err := client.Do(request(t, "http://"+server.HTTP()+path, "web.test"))
		if err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(response.Body)
		if line, err := reader.ReadString('\n'); line != "data: 1\n" {
			t.Errorf("%s: got %q, %v before the application went on", path, line, err)
		}
		next <- struct{}{}
		if rest, err := io.ReadAll(reader); err != nil || string(rest) != "\ndata: 2\n\n" {
			t.Errorf("%s: got %q, %v", path, rest, err)
		}
		response.Body.Close()
	}
}

// TestResponseHeaders checks the most that the header of a response may take.
func TestResponseHeaders(t *testing.T) {
	big := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Big", strings.Repeat("x", int(r.ContentLength)<<10))
	}))
	t.Cleanup(big.Close)
	var o ingress.Objects
	addService(&o, "web", address(big))
	o.Ingresses = append(o.Ingresses, newIngress("usual", "usual.test", "/ web"),
		annotate(newIngress("big", "big.test", "/ web"), "nginx.org/proxy-buffer-size", "256k"))
	server := nginxtest.New(t)
	server.Serve(o)
	for _, test := range []struct {
		host       string
		size, want int
	}{
		{"usual.test", 12, 200}, {"usual.test", 20, 502}, {"big.test", 200, 200}, {"big.test", 300, 502},
	} {
		response, _ := raw(t, server.HTTP(), fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			test.host, test.size, strings.Repeat("b", test.size)))
		if response.StatusCode != test.want {
			t.Errorf("%s with %d kB: %s, want %d", test.host, test.size, response.Status, test.want)
		}
	}
}

// TestSilentLog checks that requests that no host was found for leave nothing in
// NGINX's error log.
func TestSilentLog(t *testing.T) {
	var o ingress.Objects
	addService(&o, "web", namedBackend(t, "web"))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.test", "/ web"))
	server := nginxtest.New(t)
	log := &safeBuffer{}
	server.Log = slog.New(slog.NewTextHandler(log, nil))
	server.Settings.AccessLog, server.Stdout = "/dev/stdout", io.Discard
	server.Serve(o)
	for _, request := range []string{"BAD\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: web.test\r\n\r\n"} {
		if response, _ := raw(t, server.HTTP(), request); response.StatusCode != 400 {
			t.Errorf("%q: %s", request, response.Status)
		}
	}
	if response, err := tls.Dial("tcp", server.HTTP(), &tls.Config{InsecureSkipVerify: true}); err == nil {
		response.Close()
		t.Error("TLS is spoken on the port for HTTP")
	}
	server.Serve(o)
	if strings.Contains(log.String(), "uninitialized") {
		t.Errorf("the log says\n%s", log)
	}
}

type safeBuffer struct {
	mu  sync.Mutex
	all strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
