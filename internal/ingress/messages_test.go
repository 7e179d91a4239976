package ingress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// upstream answers each connection with what a path asks for, byte by byte, and says
// what it got.
func upstream(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	answers := map[string]string{
		"/204":      "HTTP/1.1 204 No Content\r\n\r\n",
		"/204body":  "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nno",
		"/304":      "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
		"/chunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"/close":    "HTTP/1.0 200 OK\r\n\r\nok",
		"/refused":  "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
		"/cookies":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok",
		"/gzip":     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n\r\nok",
		"/range":    "HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\nContent-Range: bytes 0-1/9\r\n\r\nok",
		"/short":    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
		"/nothing":  "",
		"/noreason": "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
		"/both":     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				// It closes no connection but those that an answer ends: NGINX would send
				// the next request on one that is about to be closed.
				for reader := bufio.NewReader(conn); ; {
					request, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					if request.URL.Path == "/refused" {
						io.WriteString(conn, answers["/refused"]) // before the body is read
						return
					}
					body, _ := io.ReadAll(request.Body)
					answer, known := answers[request.URL.Path]
					if !known {
						text := fmt.Sprintf("%s %s %q %q %d", request.Method, request.RequestURI, body, request.Header["X-F"], len(request.TransferEncoding))
						answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(text))
						if request.Method != http.MethodHead {
							answer += text
						}
					}
					io.WriteString(conn, answer)
					switch request.URL.Path {
					case "/204body", "/close", "/short", "/nothing", "/both":
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// TestMessages sends requests that are rare, and valid or not, through NGINX, and answers
// that are rare back.
func TestMessages(t *testing.T) {
	var o ingress.Objects
	addService(&o, "web", upstream(t))
	o.Ingresses = append(o.Ingresses, newIngress("app", "app.test", "/ web"))
	server := nginxtest.New(t)
	server.Serve(o)
	many := strings.Repeat("c=0123456789; ", 400)
	for _, test := range []struct {
		request string
		status  int
		want    string // within the body
	}{
		{"GET /a%2Fb//c/../d;x=1?q=%2e%2e HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, `GET /a%2Fb//c/../d;x=1?q=%2e%2e "" [] 0`},
		{"GET /ü HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "GET /ü"},
		{"GET /%00 HTTP/1.1\r\nHost: app.test\r\n\r\n", 400, ""},
		{"GET /../../etc/passwd HTTP/1.1\r\nHost: app.test\r\n\r\n", 400, ""},
		{"GET /" + strings.Repeat("a", 7000) + " HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "GET /aaa"},
		{"GET /" + strings.Repeat("a", 70000) + " HTTP/1.1\r\nHost: app.test\r\n\r\n", 414, ""},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nCookie: " + many + "\r\n\r\n", 200, "GET /"},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nX: " + strings.Repeat("a", 70000) + "\r\n\r\n", 400, ""},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n", 400, ""},
		{"GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nX-F: a\r\n b\r\n\r\n", 400, ""},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nX-F : a\r\n\r\n", 400, ""},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nX-F: a\r\nX-F: b\r\n\r\n", 200, `["a" "b"]`},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nX_F: a\r\n\r\n", 200, `"" [] 0`},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 400, ""},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: +2\r\n\r\nab", 400, ""},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, ""},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n", 400, ""},
		{"POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, `POST / ""`},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nX-F: t\r\n\r\n", 200, `POST / "ab"`},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n", 200, `POST / ""`},
		{"POST / HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, `POST / ""`},
		{"DELETE / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nab", 200, `DELETE / "ab"`},
		{"GET / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nab", 200, `GET / "ab"`},
		{"OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n", 400, ""},
		{"OPTIONS / HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "OPTIONS /"},
		{"PATCH / HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "PATCH /"},
		{"PROPFIND / HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "PROPFIND /"},
		{"TRACE / HTTP/1.1\r\nHost: app.test\r\n\r\n", 405, ""},
		{"CONNECT app.test:443 HTTP/1.1\r\nHost: app.test\r\n\r\n", 400, ""},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ""},
		{"GET / HTTP/3.0\r\nHost: app.test\r\n\r\n", 505, ""},
		{"get / HTTP/1.1\r\nHost: app.test\r\n\r\n", 400, ""},
		{"GET /204 HTTP/1.1\r\nHost: app.test\r\n\r\n", 204, ""},
		{"GET /304 HTTP/1.1\r\nHost: app.test\r\nIf-None-Match: \"a\"\r\n\r\n", 304, ""},
		{"GET /chunked HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "ok"},
		{"GET /close HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "ok"},
		{"GET /cookies HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "ok"},
		{"GET /gzip HTTP/1.1\r\nHost: app.test\r\nAccept-Encoding: gzip\r\n\r\n", 200, "ok"},
		{"GET /range HTTP/1.1\r\nHost: app.test\r\nRange: bytes=0-1\r\n\r\n", 206, "ok"},
		{"GET /noreason HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "ok"},
		{"GET /nothing HTTP/1.1\r\nHost: app.test\r\n\r\n", 502, ""},
		{"GET /both HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "ok"},
		{"GET /short HTTP/1.1\r\nHost: app.test\r\n\r\n", 200, "ok"},
		{"POST /refused HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nab", 413, "no"},
		{"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\nExpect: 200-ok\r\n\r\nab", 200, `POST / "ab"`},
	} {
		response, body := raw(t, server.HTTP(), strings.Replace(test.request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		if response.StatusCode != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%.90q: got %s %.120q, want %d with %q", test.request, response.Status, body, test.status, test.want)
		}
		if strings.Contains(test.request, "/cookies ") && len(response.Header["Set-Cookie"]) != 2 {
			t.Errorf("its cookies are %q", response.Header["Set-Cookie"])
		}
	}
	// What follows on the same connection is a request of its own.
	conn := dial(t, server.HTTP())
	io.WriteString(conn, "HEAD /x HTTP/1.1\r\nHost: app.test\r\n\r\nGET /204body HTTP/1.1\r\nHost: app.test\r\n\r\nGET /y HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
	reader := bufio.NewReader(conn)
	for _, want := range []struct {
		method string
		status int
		body   string
	}{{"HEAD", 200, ""}, {"GET", 204, ""}, {"GET", 200, "GET /y"}} {
		response, err := http.ReadResponse(reader, &http.Request{Method: want.method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != want.status || !strings.Contains(string(body), want.body) {
			t.Errorf("got %s %q, %v, want %d %q", response.Status, body, err, want.status, want.body)
		}
	}
	// The body may wait for 100.
	conn = dial(t, server.HTTP())
	io.WriteString(conn, "POST /e HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
	reader = bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Errorf("got %q, %v, want 100", line, err)
	}
	io.WriteString(conn, "ab")
	if rest, err := io.ReadAll(reader); err != nil || !strings.Contains(string(rest), `POST /e "ab"`) {
		t.Errorf("got %q, %v", rest, err)
	}
}
