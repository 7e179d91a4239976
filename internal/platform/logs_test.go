package platform

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"berth/internal/config"
	"berth/internal/provider"
)

// The chart's schema knows every value that the agent is given.
func TestTheLogAgentFitsItsChart(t *testing.T) {
	bucket := &provider.Bucket{Endpoint: "https://10.118.0.1:9000", Region: "us-east-1", Name: "berth", AccessKey: "a", SecretKey: "s", CA: []byte("PEM")}
	env := map[string]string{config.LogsEndpoint: "https://in.example.com:8443/otlp", config.LogsAPIKey: "key", config.LogsSourceID: "me"}
	for _, c := range []struct {
		what    string
		sinks   []string
		bucket  *provider.Bucket
		cluster *provider.Cluster
		ports   []int
		secrets []string
	}{
		{"on this machine", []string{config.BucketSink}, bucket,
			&provider.Cluster{PodLogs: &provider.PodLogs{Folder: "/var/lib/berth/local/pod-logs", PerNode: true, State: "/var/lib/berth/local/log-agent"}},
			[]int{443, 6443, 9000}, []string{bucketSecret}},
		{"to everywhere", []string{config.BucketSink, config.OTLPSink, config.FramesSink}, bucket, &provider.Cluster{},
			[]int{443, 6443, 8443, 9000}, []string{bucketSecret, hostedSecret}},
		{"to an aggregator alone", []string{config.OTLPSink}, nil, &provider.Cluster{}, []int{443, 6443, 8443}, []string{hostedSecret}},
	} {
		l := &Logs{cluster: c.cluster, config: &config.Config{
			Logs: config.Logs{Sinks: c.sinks}, DotEnv: env, Environments: map[string]config.Environment{"staging": {}, "production": {}},
		}}
		secrets := l.secrets(c.bucket)
		p := l.part(c.bucket, "registry.example.com/collector:1", checksum(secrets), nil)
		fits(t, c.what, p)
		if got := p.values["networkPolicy"].(map[string]any)["ports"].([]int); !slices.Equal(got, c.ports) {
			t.Errorf("%s: ports %v, want %v", c.what, got, c.ports)
		}
		if len(secrets) != len(c.secrets) {
			t.Errorf("%s: secrets %v, want %v", c.what, secrets, c.secrets)
		}
		if text := fmt.Sprint(p.values); strings.Contains(text, env[config.LogsEndpoint]) {
			t.Errorf("%s: an aggregator's settings are in the release: %s", c.what, text)
		}
	}
	if checksum(map[string]map[string]string{"a": {"k": "1"}}) == checksum(map[string]map[string]string{"a": {"k": "2"}}) {
		t.Error("agents would not see a new key")
	}
}

// The agents are asked one by one, through the API server; one that does not
// answer does not hide the others.
func TestAgentsAreAskedThroughTheAPIServer(t *testing.T) {
	pod := func(node string) core.Pod {
		return core.Pod{ObjectMeta: metav1.ObjectMeta{Name: "collector-" + node}, Spec: core.PodSpec{NodeName: node}}
	}
	installed := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := func(v any) {
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		}
		switch r.URL.Path {
		case "/apis/apps/v1/namespaces/logging/daemonsets":
			answer(map[string]any{"items": slices.Repeat([]any{map[string]any{}}, map[bool]int{true: 1}[installed])})
		case "/api/v1/namespaces/logging/pods":
			answer(core.PodList{Items: []core.Pod{pod("node-2"), pod("node-1"), pod("node-removed")}})
		case "/api/v1/nodes":
			answer(core.NodeList{Items: []core.Node{{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, {ObjectMeta: metav1.ObjectMeta{Name: "node-2"}}}})
		case "/api/v1/namespaces/logging/pods/http:collector-node-1:13134/proxy/status":
			fmt.Fprint(w, `{"node":"node-1","sinks":[{"name":"frames","state":"failing","answer":"401 Unauthorized: bad key","since":"2026-08-20T09:58:02Z","sent":0,"dropped":2,"rejected":0}]}`)
		default:
			http.Error(w, "dial tcp: connection refused", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	l, err := NewLogs(&provider.Cluster{REST: &rest.Config{Host: server.URL}}, &config.Config{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := l.Status(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("got %v, %v", all, err)
	}
	if first := all[0]; first.Node != "node-1" || first.Sinks[0].Answer != "401 Unauthorized: bad key" || first.Sinks[0].Dropped != 2 || first.Problem != "" {
		t.Errorf("got %+v", first)
	}
	if second := all[1]; second.Node != "node-2" || !strings.Contains(second.Problem, "does not answer") {
		t.Errorf("got %+v", second)
	}
	installed = false
	if _, err := l.Status(t.Context()); err != ErrNoAgent {
		t.Errorf("got %v", err)
	}
}
