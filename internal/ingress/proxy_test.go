package ingress_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// TestForwardedHeaders checks what an upstream is told of the request.
func TestForwardedHeaders(t *testing.T) {
	got := make(chan *http.Request, 1)
	echo := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	t.Cleanup(echo.Close)
	var o ingress.Objects
	addService(&o, "web", address(echo))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.example", "/ web"))
	server := nginxtest.New(t)
	server.Serve(o)
	_, port, _ := strings.Cut(server.HTTP(), ":")

	for _, test := range []struct{ sent, want string }{
		{"abc-1.2_3", "abc-1.2_3"},
		{"", "made"},
		{"no spaces allowed", "made"},
		{strings.Repeat("x", 129), "made"},
	} {
		r := request(t, "http://"+server.HTTP()+"/p?q", "web.example:8080")
		r.Header.Set("X-Request-ID", test.sent)
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set("X-Forwarded-Proto", "https") // a client's word is not passed on
		r.Header.Set("X-Real-IP", "192.0.2.2")
		for _, name := range []string{"Forwarded", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Original-URL", "X-Rewrite-URL", "Proxy"} {
			r.Header.Set(name, "evil")
		}
		response, err := plainClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if server := response.Header.Get("Server"); server != "nginx" {
			t.Errorf("Server: %q, want no version", server)
		}
		upstream := <-got
		id := upstream.Header.Get("X-Request-ID")
		if test.want == "made" && (len(id) != 32 || id == test.sent) || test.want != "made" && id != test.want {
			t.Errorf("X-Request-ID %q became %q", test.sent, id)
		}
		if upstream.Host != "web.example:8080" || upstream.Proto != "HTTP/1.1" {
			t.Errorf("host %q, %s", upstream.Host, upstream.Proto)
		}
		for name, want := range map[string]string{
			"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Port": port,
			"X-Forwarded-Host": "web.example:8080", "X-Real-IP": "127.0.0.1", "Connection": "",
			"Forwarded": "", "X-Forwarded-Scheme": "", "X-Forwarded-Ssl": "", "X-Original-URL": "", "X-Rewrite-URL": "", "Proxy": "",
		} {
			if value := upstream.Header.Get(name); value != want {
				t.Errorf("%s: got %q, want %q", name, value, want)
			}
		}
	}
}

// TestWebSocket opens a connection, reloads NGINX and goes on using it.
func TestWebSocket(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "upgrade" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
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
	addService(&o, "web", address(echo))
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.example", "/ web"))
	server := nginxtest.New(t)
	server.Serve(o)

	conn, err := net.Dial("tcp", server.HTTP())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: web.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Connection") != "upgrade" {
		t.Fatalf("%v %v", response, err)
	}
	say := func(word string) {
		t.Helper()
		fmt.Fprintln(conn, word)
		if line, err := reader.ReadString('\n'); err != nil || line != word+"\n" {
			t.Fatalf("said %q, heard %q, %v", word, line, err)
		}
	}
	say("before")
	server.Serve(o)
	say("after")
}

// TestLogs checks that neither log holds a query or an Authorization header,
// and that the access log is JSON whatever a client sends.
func TestLogs(t *testing.T) {
	var o ingress.Objects
	addService(&o, "web", namedBackend(t, "web"))
	addService(&o, "dead", "127.0.0.1:1")
	o.Ingresses = append(o.Ingresses, newIngress("web", "web.example", "/ web", "/dead dead"),
		annotate(newIngress("rewritten", "web.example", "/app/(.*) web"), "nginx.ingress.kubernetes.io/rewrite-target", "/$1"))
	server := nginxtest.New(t)
	accessLog := filepath.Join(t.TempDir(), "access.log")
	file, err := os.Create(accessLog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	server.Settings.AccessLog, server.Stdout = "/dev/stdout", file
	server.Serve(o)
	for _, path := range []string{"/a/b?token=hush", "/quote%22%0A?token=hush", "/dead?token=hush", "/app/c?token=hush"} {
		r := request(t, "http://"+server.HTTP()+path, "web.example")
		r.Header.Set("Authorization", "Token hush")
		r.Header.Set("User-Agent", `"} \ evil`)
		response, err := plainClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	var lines []string
	for deadline := time.Now().Add(5 * time.Second); len(lines) < 4 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		content, err := os.ReadFile(accessLog)
		if err != nil {
			t.Fatal(err)
		}
		lines = strings.SplitAfter(strings.TrimSpace(string(content)), "\n")
	}
	want := map[string]bool{"/a/b 200": true, "/quote\"\n 200": true, "/dead 502": true, "/app/c 200": true}
	for _, line := range lines {
		var record struct {
			Time, Level, Msg, Path, Host, Method string
			Status                               int
			RequestID                            string `json:"request_id"`
			UserAgent                            string `json:"user_agent"`
			Duration                             float64
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if got := fmt.Sprint(record.Path, " ", record.Status); !want[got] || record.UserAgent != `"} \ evil` || len(record.RequestID) != 32 {
			t.Errorf("got %q, want one of %v in %s", got, want, line)
		}
		if strings.Contains(line, "hush") {
			t.Errorf("the access log holds a secret: %s", line)
		}
	}
}
