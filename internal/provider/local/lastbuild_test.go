package local

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"berth/internal/image"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/registrytest"
)

// storeWithRegistry is an image store of the tests' builder, with a registry of
// its own that takes berth's password alone.
func storeWithRegistry(t *testing.T) imageStore {
	t.Helper()
	b := realBuilder(t)
	r := registry{layout{filepath.Join(t.TempDir(), "state"), b.layout().cache}, network{netip.MustParsePrefix("127.118.0.0/16")}}
	for _, name := range []string{r.layout.pki(""), r.layout.etc("")} {
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	by, err := loadAuthority(r.layout, "kubernetes", nil)
	if err == nil {
		err = r.configure(by)
	}
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(r.layout.pki("registry.crt"), keyFile(r.layout.pki("registry.crt")))
	if err != nil {
		t.Fatal(err)
	}
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registrytest.Start(t)})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if _, _, ok := request.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="berth"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		request.Header.Del("Authorization")
		behind.ServeHTTP(w, request)
	}))
	server.Listener.Close()
	listener, err := net.Listen("tcp", r.address())
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = either{listener, &tls.Config{Certificates: []tls.Certificate{certificate}}}
	server.Start()
	t.Cleanup(server.Close)
	return imageStore{registry: r, reach: &reach{}}
}

// either takes both TLS, which berth speaks, and plain connections: BuildKit
// speaks those to a loopback address.
type either struct {
	net.Listener
	config *tls.Config
}

func (e either) Accept() (net.Conn, error) {
	connection, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peeked := &peekedConn{Conn: connection}
	if _, err := io.ReadFull(connection, peeked.first[:]); err != nil {
		return peeked, nil // which says so again when it is read
	}
	peeked.rest = peeked.first[:]
	if peeked.first[0] == 22 { // a handshake, RFC 8446 5.1
		return tls.Server(peeked, e.config), nil
	}
	return peeked, nil
}

type peekedConn struct {
	net.Conn
	first [1]byte
	rest  []byte
}

func (c *peekedConn) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// An image whose files are those of its last build is not built: not even the
// builder is started.
func TestNothingIsBuiltOfWhatHasNotChanged(t *testing.T) {
	s := storeWithRegistry(t)
	from := files(t, map[string]string{"Dockerfile": shell + "FROM shell\nCOPY page /\n", "page": "one"})
	push := func() (digest string, built bool) {
		t.Helper()
		os.Remove(s.builder().log())
		digest, err := s.push(t.Context(), from, progress.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return digest, exists(s.builder().log())
	}
	page := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(from.Context, "page"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first, built := push()
	if !built {
		t.Fatal("nothing was built at first")
	}
	if again, built := push(); built || again != first {
		t.Errorf("of the same files: built %v, %s in place of %s", built, again, first)
	}
	page("two")
	if second, built := push(); !built || second == first {
		t.Errorf("of another file: built %v, %s", built, second)
	}
	page("one")
	if back, built := push(); !built || back != first {
		t.Errorf("of a file that is as it was: built %v, %s in place of %s", built, back, first)
	}
	last, err := s.recall("app")
	if err != nil {
		t.Fatal(err)
	}
	last.Digest = "sha256:" + zeros
	if err := s.remember("app", last); err != nil {
		t.Fatal(err)
	}
	if back, built := push(); !built || back != first {
		t.Errorf("of an image that the registry does not have: built %v, %s in place of %s", built, back, first)
	}
	if err := os.WriteFile(s.memory("app"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if back, built := push(); !built || back != first {
		t.Errorf("with a memory that is cut: built %v, %s in place of %s", built, back, first)
	}
}

// So it is with berth's own images: neither is the program compiled, nor is the
// builder started, also before the registry is there.
func TestNothingIsCompiledOfWhatHasNotChanged(t *testing.T) {
	s := storeWithRegistry(t)
	root := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module berth\n\ngo 1.26\n", "kube/go.mod": "module kube\n\ngo 1.26\n", "collector/go.mod": "module collector\n\ngo 1.26\n",
		"images/pause/Dockerfile": "FROM golang:1.26 AS build\nCOPY kube/pause /pause\nRUN go build\nFROM scratch\nCOPY --from=build /pause /pause\n",
		"kube/pause/main.go":      "package main\n\nfunc main() {}\n",
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(root)
	b := ownBuild(root, "pause")
	program := filepath.Join(s.registry.layout.cached("programs", "pause", runtime.GOARCH), "pause")
	up := func() (digest string, built, compiled bool) {
		t.Helper()
		os.Remove(s.builder().log())
		os.Remove(program)
		err := s.use(t.Context(), []provider.Build{b}, progress.Discard, func() error {
			err := s.build(t.Context(), b, progress.Discard)
			if err == nil {
				digest, err = s.push(t.Context(), b, progress.Discard)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return digest, exists(s.builder().log()), exists(program)
	}
	first, built, compiled := up()
	if !built || !compiled {
		t.Fatalf("at first: built %v, compiled %v", built, compiled)
	}
	if again, built, compiled := up(); again != first || built || compiled {
		t.Errorf("of the same source: built %v, compiled %v, %s in place of %s", built, compiled, again, first)
	}
	if err := os.WriteFile(filepath.Join(root, "kube/pause/main.go"), []byte("package main\n\nfunc main() { println() }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if other, built, compiled := up(); other == first || !built || !compiled {
		t.Errorf("of another source: built %v, compiled %v, %s", built, compiled, other)
	}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// What a build begins with is known where it cannot change.
func TestWhatABuildBeginsWith(t *testing.T) {
	s := imageStore{registry: registry{layout{cache: t.TempDir()}, network{netip.MustParsePrefix("127.118.0.0/16")}}, reach: &reach{}}
	near := registrytest.Start(t)
	s.reach.asked = map[string]func() error{near: func() error { return nil }}
	for dockerfile, known := range map[string]bool{
		"FROM scratch":                                     true,
		"FROM " + near + "/app@sha256:" + zeros:            true,
		"FROM " + near + "/app:1":                          false, // the tag may name another image by now
		"FROM registry.invalid/app:1":                      false, // whose build fails
		"FROM scratch\nCOPY --from=" + near + "/app:1 / /": false,
	} {
		from := files(t, map[string]string{"Dockerfile": dockerfile + "\n"})
		bases, err := image.Bases(from)
		if err != nil {
			t.Fatal(err)
		}
		if begins := s.begins(t.Context(), from, bases); (begins != "") != known {
			t.Errorf("%q: %q", dockerfile, begins)
		}
	}
}
