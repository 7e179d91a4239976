package ingress_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// TestEndpointsChange changes the endpoints of an application many times while
// clients send without a pause, over every protocol, and a WebSocket of another
// application stays open: nothing is lost, and NGINX is never reloaded.
func TestEndpointsChange(t *testing.T) {
	ca := newAuthority(t)
	var pods []*httptest.Server
	for range 4 {
		pods = append(pods, okServer(t))
	}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		if _, err := io.Copy(conn, buffered); err != nil {
			return
		}
	}))
	t.Cleanup(echo.Close)
	var o ingress.Objects
	addService(&o, "web", address(pods[0]))
	addService(&o, "echo", address(echo))
	o.Secrets = []*corev1.Secret{ca.secret("tls", "web.test")}
	o.Ingresses = append(o.Ingresses, newIngress("echo", "echo.test", "/ echo"),
		annotate(withTLS(newIngress("web", "web.test", "/ web"), "tls"), ingress.AnnotationSSLRedirect, "false"))
	server := nginxtest.New(t)
	server.Serve(o)
	before, err := server.Get(t.Context(), "/generation")
	if err != nil {
		t.Fatal(err)
	}

	socket := dial(t, server.HTTP())
	if err := socket.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(socket, "GET / HTTP/1.1\r\nHost: echo.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	reader := bufio.NewReader(socket)
	if response, err := http.ReadResponse(reader, nil); err != nil || response.StatusCode != 101 {
		t.Fatal(response, err)
	}
	l := startLoad(t)
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		for range 2 {
			l.add(method, "http://"+server.HTTP(), "web.test", 0, nil)
			l.addOnce(method, "https://"+server.HTTPS(), "web.test", 0, ca)
		}
	}
	for i := range 50 {
		endpoints := map[string][]string{"shop.echo.80": {address(echo)}}
		for n := range 1 + i%2 {
			endpoints["shop.web.80"] = append(endpoints["shop.web.80"], address(pods[(i+n)%len(pods)]))
		}
		if err := server.ServeEndpoints(t.Context(), endpoints); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(socket, i)
		if line, err := reader.ReadString('\n'); err != nil || line != fmt.Sprintln(i) {
			t.Fatalf("the WebSocket said %q, %v", line, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.end()
	after, err := server.Get(t.Context(), "/generation")
	if err != nil || string(after) != string(before) {
		t.Errorf("generation %s became %s, %v", before, after, err)
	}

	// What has no endpoint answers 503, and serves again at once when it has.
	for _, step := range []struct {
		servers []string
		want    int
	}{{nil, 503}, {[]string{"127.0.0.1:1"}, 502}, {[]string{address(pods[0])}, 200}} {
		if err := server.ServeEndpoints(t.Context(), map[string][]string{"shop.web.80": step.servers}); err != nil {
			t.Fatal(err)
		}
		if response, _ := get(t, "http://"+server.HTTP(), "web.test"); response.StatusCode != step.want {
			t.Errorf("with endpoints %v: %s, want %d", step.servers, response.Status, step.want)
		}
	}
}

// addOnce is add for a client of HTTP/2 that sends nothing a second time.
func (l *load) addOnce(method, url, host string, pause time.Duration, ca *authority) {
	client := http.Client{Transport: httpsClient(l.t, ca, host).Transport, Timeout: 10 * time.Second}
	l.wait.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			case <-time.After(pause):
			}
			l.sent.Add(1)
			if err := send(client, method, url, host); err != nil && l.failures.Add(1) <= 5 {
				l.t.Errorf("%s %s over HTTP/2: %v", method, url, err)
			}
		}
	})
}

// TestDrainSaysItOnce posts over connections that are kept alive, with a client
// that believes the first Connection field it reads, as Python's does, while
// NGINX is reloaded.
func TestDrainSaysItOnce(t *testing.T) {
	pod := okServer(t)
	var o ingress.Objects
	addService(&o, "web", address(pod))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.test", "/ web"),
		annotate(newIngress("own", "own.test", "/ web"), ingress.AnnotationReadTimeout, "1m"))
	server := nginxtest.New(t)
	server.Serve(o)
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var sent, closed atomic.Int64
	for i := range 6 {
		wait.Go(func() {
			host := []string{"web.test", "own.test"}[i%2]
			for ctx.Err() == nil {
				n, err := postUntilClosed(ctx, server.HTTP(), host)
				sent.Add(n)
				closed.Add(1)
				if err != nil {
					t.Errorf("after %d requests of a connection: %v", n, err)
				}
			}
		})
	}
	for range 10 {
		server.Serve(o)
	}
	stop()
	wait.Wait()
	t.Logf("%d requests, %d connections", sent.Load(), closed.Load())
	if sent.Load() < 100 || closed.Load() < 20 {
		t.Errorf("only %d requests over %d connections", sent.Load(), closed.Load())
	}
}

// TestOldWorkersDrainToTheirEnd looks at workers that are there still when the
// generation after theirs is drained already: NGINX tells the old ones to quit
// 100 ms after it has started the new ones.
func TestOldWorkersDrainToTheirEnd(t *testing.T) {
	var o ingress.Objects
	addService(&o, "web", address(okServer(t)))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.test", "/ web"))
	server := nginxtest.New(t)
	for range 2 {
		server.Serve(o)
	}
	feed := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", server.Settings.StatusSocket())
	}}}
	defer feed.CloseIdleConnections()
	for _, step := range []struct {
		drained int
		closes  bool
	}{{1, false}, {2, true}, {3, true}, {1, false}} {
		response, err := feed.Post("http://nginx/endpoints", "text/plain", strings.NewReader(fmt.Sprintf("!drain %d\n", step.drained)))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		// A worker of the first generation may still accept connections.
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			response, _ := get(t, "http://"+server.HTTP(), "web.test")
			if response.Close == step.closes {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("generation 2 serves, generation %d is drained: the connection is closed: %t", step.drained, response.Close)
			}
		}
	}
}

// postUntilClosed sends requests until a response says that the connection is
// closed, and returns how many were answered.
func postUntilClosed(ctx context.Context, address, host string) (n int64, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return 0, err
	}
	reader := bufio.NewReader(conn)
	for ; ctx.Err() == nil; n++ {
		fmt.Fprintf(conn, "POST /a?b HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nbody", host)
		var connection []string
		length, status := 0, ""
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return n, err
			}
			line = strings.TrimSpace(line)
			if status == "" {
				status = line
			}
			if line == "" {
				break
			}
			name, value, _ := strings.Cut(line, ": ")
			switch strings.ToLower(name) {
			case "connection":
				connection = append(connection, value)
			case "content-length":
				if _, err := fmt.Sscan(value, &length); err != nil {
					return n, err
				}
			}
		}
		if _, err := reader.Discard(length); err != nil {
			return n, err
		}
		if len(connection) != 1 || status != "HTTP/1.1 200 OK" {
			return n, fmt.Errorf("%s with Connection: %v", status, connection)
		}
		if connection[0] == "close" {
			return n + 1, nil
		}
	}
	return n, nil
}

// TestDrainKeepsURIs checks that a request is the same while workers are about
// to be replaced.
func TestDrainKeepsURIs(t *testing.T) {
	var o ingress.Objects
	addService(&o, "web", namedBackend(t, "web"))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.test", "/ web"),
		annotate(newIngress("rewritten", "web.test", "/from/(.*) web"), "nginx.ingress.kubernetes.io/rewrite-target", "/to/$1"))
	server := nginxtest.New(t)
	server.Serve(o)
	// As the controller does for half a second before each reload.
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", server.Settings.StatusSocket())
	}}}
	response, err := client.Post("http://nginx/endpoints", "", strings.NewReader("!drain 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for path, drained := range map[string]bool{
		"/": true, "/a/b?c=%20d&e=//": true, "/a;b=1/~c": true, "/?": false,
		"/a%2Fb": false, "/caf%c3%a9": false, "//a": false, "/a/../b": false, "/%3F?x": false, "/a/.b": false,
	} {
		response, body := raw(t, server.HTTP(), "GET "+path+" HTTP/1.1\r\nHost: web.test\r\n\r\n")
		if body != "web "+path || response.Close != drained {
			t.Errorf("%s: got %q, closed %v, want %v", path, body, response.Close, drained)
		}
	}
	response, body := raw(t, server.HTTP(), "GET /from/a?b HTTP/1.1\r\nHost: web.test\r\n\r\n")
	if body != "web /to/a?b" || !response.Close {
		t.Errorf("a path that is rewritten: got %q, closed %v", body, response.Close)
	}
}

// TestSticky checks that a client comes back to the endpoint that answered it,
// and goes elsewhere when that is gone.
func TestSticky(t *testing.T) {
	pods := []string{namedBackend(t, "a"), namedBackend(t, "b"), namedBackend(t, "c")}
	var o ingress.Objects
	addService(&o, "web", pods...)
	o.Ingresses = append(o.Ingresses, annotate(newIngress("web", "web.test", "/ web"), ingress.AnnotationStickyServices,
		"serviceName=web srv_id expires=1h path=/ httponly"))
	server := nginxtest.New(t)
	if problems := server.Serve(o); len(problems) > 0 {
		t.Fatal(problems)
	}
	seen := map[string]bool{}
	for range 6 {
		response, first := get(t, "http://"+server.HTTP(), "web.test")
		seen[first] = true
		cookies := response.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "srv_id" || cookies[0].MaxAge != 3600 || cookies[0].Path != "/" || !cookies[0].HttpOnly {
			t.Fatalf("cookies %v", response.Header["Set-Cookie"])
		}
		for range 4 {
			r := request(t, "http://"+server.HTTP(), "web.test")
			r.AddCookie(cookies[0])
			response, err := plainClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || string(body) != first || len(response.Cookies()) != 0 {
				t.Errorf("after %q came %q with cookies %v, %v", first, body, response.Cookies(), err)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("new clients were led to %v only", seen)
	}
	r := request(t, "http://"+server.HTTP(), "web.test")
	r.AddCookie(&http.Cookie{Name: "srv_id", Value: "gone"})
	response, err := plainClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 || len(response.Cookies()) != 1 {
		t.Errorf("with an unknown cookie: %s %v", response.Status, response.Cookies())
	}
}

// TestPathRegex asks where paths lead that are regular expressions.
func TestPathRegex(t *testing.T) {
	var o ingress.Objects
	for _, name := range []string{"a", "b", "c"} {
		addService(&o, name, namedBackend(t, name))
	}
	o.Ingresses = append(o.Ingresses,
		annotate(newIngress("sensitive", "web.test", "/v[0-9]+ a", "/v[0-9]+/admin b"), ingress.AnnotationPathRegex, "case_sensitive"),
		annotate(newIngress("fold", "web.test", "/tea/[a-z]{2,3}$ b"), ingress.AnnotationPathRegex, "case_insensitive"),
		annotate(newIngress("exact", "web.test", "/exact c"), ingress.AnnotationPathRegex, "exact"),
		annotate(newIngress("slow", "slow.test", "/(a+)+$ a"), ingress.AnnotationPathRegex, "case_sensitive"),
		annotate(newIngress("root", "root.test", "/ a"), "nginx.org/app-root", "/start"),
	)
	server := nginxtest.New(t)
	if got := fmt.Sprint(summary(server.Serve(o))); got != "[slow InvalidIngress]" {
		t.Errorf("problems %s", got)
	}
	for _, test := range []struct{ path, want string }{
		{"/v1/x", "a /v1/x"}, {"/v12/admin/x", "b /v12/admin/x"}, {"/V1/x", "404 "}, {"/x/v1", "404 "},
		{"/TEA/ab", "b /TEA/ab"}, {"/tea/abcd", "404 "}, {"/exact", "c /exact"}, {"/exact/x", "404 "},
	} {
		response, body := get(t, "http://"+server.HTTP()+test.path, "web.test")
		if response.StatusCode != 200 {
			body = fmt.Sprint(response.StatusCode, " ")
		}
		if body != test.want {
			t.Errorf("%s: got %q, want %q", test.path, body, test.want)
		}
	}
	response, _ := get(t, "http://"+server.HTTP()+"/", "root.test")
	if got := fmt.Sprint(response.StatusCode, " ", response.Header.Get("Location")); got != "302 /start" {
		t.Errorf("app root: %s", got)
	}
}

// TestGRPC speaks HTTP/2 to an upstream that speaks nothing else.
func TestGRPC(t *testing.T) {
	ca := newAuthority(t)
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		fmt.Fprint(w, r.Proto, " ", r.Host, " ", r.URL.Path)
		w.Header().Set("Grpc-Status", "0")
	}))
	upstream.Config.Protocols = new(http.Protocols)
	upstream.Config.Protocols.SetUnencryptedHTTP2(true)
	upstream.Start()
	t.Cleanup(upstream.Close)
	var o ingress.Objects
	addService(&o, "rpc", address(upstream))
	o.Secrets = []*corev1.Secret{ca.secret("tls", "rpc.test")}
	rpc := annotate(withTLS(newIngress("rpc", "rpc.test", "/shop.Cart rpc"), "tls"), ingress.AnnotationGRPCServices, "rpc")
	annotate(annotate(rpc, ingress.AnnotationReadTimeout, "5m"), "nginx.org/proxy-buffering", "true")
	o.Ingresses = append(o.Ingresses, rpc)
	server := nginxtest.New(t)
	if problems := server.Serve(o); len(problems) > 0 {
		t.Fatal(problems)
	}
	r := request(t, "https://"+server.HTTPS()+"/shop.Cart/Add", "rpc.test")
	r.Header.Set("TE", "trailers")
	response, err := httpsClient(t, ca, "rpc.test").Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "HTTP/2.0 rpc.test /shop.Cart/Add" || response.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("got %s %q, trailer %v, %v", response.Status, body, response.Trailer, err)
	}
}

// TestUploads checks what is answered to bodies: too large, more of them at once
// than one client may send, too large for the disk.
func TestUploads(t *testing.T) {
	sizes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	t.Cleanup(sizes.Close)
	var o ingress.Objects
	addService(&o, "web", address(sizes))
	o.Ingresses = append(o.Ingresses, newIngress("usual", "usual.test", "/ web"),
		annotate(newIngress("big", "big.test", "/ web"), ingress.AnnotationMaxBodySize, "0"))
	server := nginxtest.New(t)
	server.Settings.BodiesPerClient = 20
	server.Settings.UploadDir = server.Settings.Dir + "/uploads"
	server.Serve(o)
	post := func(host string, size int64) int {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, "http://"+server.HTTP(), io.LimitReader(zeros{}, size))
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.ContentLength = host, size
		response, err := plainClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode == 200 && string(body) != fmt.Sprint(size, " <nil>") {
			t.Errorf("%s got %q, %v", host, body, err)
		}
		return response.StatusCode
	}
	for _, test := range []struct {
		host string
		size int64
		want int
	}{{"usual.test", 1 << 20, 200}, {"usual.test", 1<<20 + 1, 413}, {"big.test", 300 << 20, 200}} {
		if got := post(test.host, test.size); got != test.want {
			t.Errorf("%d bytes to %s: %d, want %d", test.size, test.host, got, test.want)
		}
	}
	if _, err := os.Stat(server.Settings.UploadDir); err != nil {
		t.Error(err)
	}

	// Slow bodies of one client leave room for those that send nothing.
	var slow []net.Conn
	for range 25 {
		conn := dial(t, server.HTTP())
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: usual.test\r\nContent-Length: 100000\r\n\r\nslow")
		slow = append(slow, conn)
	}
	refused := 0
	answers := make(chan int, len(slow))
	for _, conn := range slow {
		go func() {
			if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				answers <- response.StatusCode
			}
		}()
	}
	for range 5 { // what is not refused is not answered
		if got := <-answers; got == 503 {
			refused++
		}
	}
	if response, _ := get(t, "http://"+server.HTTP(), "usual.test"); response.StatusCode != 200 || refused != 5 {
		t.Errorf("%d of 25 slow bodies were refused, a GET got %s", refused, response.Status)
	}
	for _, conn := range slow {
		conn.Close()
	}

	server.Settings.UploadReserve = 1 << 62
	go server.WatchDisk(t.Context())
	wait := time.Now().Add(10 * time.Second)
	for post("usual.test", 1<<17) != 503 && time.Now().Before(wait) {
		time.Sleep(50 * time.Millisecond)
	}
	var got []int
	for _, size := range []int64{1 << 17, 1000, 1 << 17} {
		got = append(got, post("usual.test", size))
	}
	if !slices.Equal(got, []int{503, 200, 503}) {
		t.Errorf("with a full disk: %v", got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
