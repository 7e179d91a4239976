// Package registrytest starts a real registry for tests: the upstream one, from
// Debian's package docker-registry.
package registrytest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Start runs an empty registry on the loopback interface, for as long as the
// test runs, and returns its address, host:port.
func Start(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Fatal("a real registry is needed: apt-get install docker-registry")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	folder := t.TempDir()
	configuration := filepath.Join(folder, "config.yml")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q}
`, folder, address), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	server := exec.Command(program, "serve", configuration)
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill() //nolint:errcheck // it ended by itself
		server.Wait()         //nolint:errcheck // it was killed
	})
	for range 500 {
		response, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			response.Body.Close()
			return address
		}
		time.Sleep(20 * time.Millisecond)
	}
	server.Process.Kill() //nolint:errcheck // it ended by itself
	server.Wait()         //nolint:errcheck // it was killed
	t.Fatalf("the registry does not answer: %s", &said)
	return ""
}

// Before starts a server that stands before a registry and hands each request
// to handle, together with the registry. It returns its address.
func Before(t testing.TB, registry string, handle func(w http.ResponseWriter, r *http.Request, registry http.Handler)) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	proxy.ErrorLog = nil
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, proxy) }))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}
