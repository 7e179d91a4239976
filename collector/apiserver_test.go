package main

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// withAPIServer has an agent ask an API server that knows one pod, and nothing
// that the agent's role does not allow. It returns what the agent finds in its
// environment besides.
func withAPIServer(t testing.TB) (change func(map[string]any), environment []string) {
	t.Helper()
	const token = "token-of-the-agent"
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("the agent asks the API server by %s %s", r.Method, r.URL)
		}
		if r.URL.Path != "/api/v1/namespaces/production/pods/realworld-7d9c6bf5d-x2k4q" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"realworld-7d9c6bf5d-x2k4q","namespace":"production","uid":"`+uid+`","labels":{"pod-template-hash":"7d9c6bf5d"},
			"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"realworld-7d9c6bf5d","uid":"1","controller":true}]}}`)
	}))
	t.Cleanup(api.Close) // After the end of the agent, which is made later.
	folder := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	for name, data := range map[string][]byte{"ca.crt": ca, "token": []byte(token)} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, port, err := net.SplitHostPort(api.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return func(config map[string]any) {
		at(config, "receivers", "container_log")["service_account"] = folder
	}, []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port}
}
