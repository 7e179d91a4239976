package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// withAPIServer has an agent ask the API server that its kubeconfig names, as it
// does in a cluster.
func withAPIServer(t testing.TB) func(map[string]any) {
	return func(config map[string]any) {
		processor := at(chartConfig(t), "processors", "k8s_attributes")
		processor["auth_type"] = "kubeConfig"
		at(config, "processors")["k8s_attributes"] = processor
		at(config, "service", "pipelines", "logs")["processors"] = []string{"memory_limiter", "k8s_attributes"}
	}
}

// apiServer knows one pod, and nothing that the agent's role does not allow. It
// returns the path of a kubeconfig.
func apiServer(t testing.TB) string {
	t.Helper()
	const pod = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"realworld-7d9c6bf5d-x2k4q","namespace":"production","uid":"` + uid + `","resourceVersion":"1","creationTimestamp":"2026-08-20T10:00:00Z","labels":{"pod-template-hash":"7d9c6bf5d"},
		"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"realworld-7d9c6bf5d","uid":"1","controller":true}]},"spec":{"nodeName":"node-1"},"status":{"podIP":"10.0.0.1","startTime":"2026-08-20T10:00:00Z"}}`
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		query := r.URL.Query()
		switch {
		case r.URL.Path != "/api/v1/pods" || query.Get("fieldSelector") != "spec.nodeName=node-1":
			t.Errorf("the agent asks the API server for %s", r.URL)
			http.NotFound(w, r)
		case query.Get("watch") != "":
			if query.Get("sendInitialEvents") == "true" {
				fmt.Fprintf(w, `{"type":"ADDED","object":%s}{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"1","annotations":{"k8s.io/initial-events-end":"true"}}}}`, pod)
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[%s]}`, pod)
		}
	}))
	t.Cleanup(api.Close) // After the end of the agent, which is made later.
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":"` + api.URL + `"}}],"users":[{"name":"u","user":{}}]}`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}
