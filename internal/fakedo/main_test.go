package main

import (
	"context"
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
)

// The program alone: it serves, names nodes after those of the real cluster, ends
// when it is told to, and remembers.
func TestRun(t *testing.T) {
	kubernetes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/nodes" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind": "NodeList", "apiVersion": "v1", "items": [{"metadata": {"name": "node-1"}}]}`)
	}))
	defer kubernetes.Close()
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, fmt.Appendf(nil, `{"clusters": [{"name": "a", "cluster": {"server": %q}}], "users": [{"name": "a", "user": {}}],
		"contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "current-context": "a"}`, kubernetes.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	for _, request := range []struct{ method, path, body, want string }{
		{http.MethodPost, "/v2/kubernetes/clusters", `{"name": "berth", "region": "fra1", "version": "latest", "node_pools": [{"name": "pool", "size": "s-2vcpu-4gb", "count": 1}]}`, `"name":"node-1"`},
		{http.MethodGet, "/v2/kubernetes/clusters", "", `"name":"berth"`},
	} {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- run(ctx, []string{"-listen", address, "-kubeconfig", kubeconfig, "-state", filepath.Join(dir, "account.json")})
		}()
		if got := ask(t, request.method, "http://"+address+request.path, request.body); !strings.Contains(got, request.want) {
			t.Errorf("%s %s answers %s", request.method, request.path, got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// ask sends a request, again and again until there is somebody to take it.
func ask(t *testing.T, method, url, body string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		request, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer token")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			continue
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}
