package metrics

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// configuration is what the chart has it scrape.
func configuration(t *testing.T) string {
	t.Helper()
	rendered, err := os.ReadFile("../../charts/testdata/metrics.golden.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(rendered), "\n---\n") {
		var object core.ConfigMap
		if err := yaml.Unmarshal([]byte(document), &object); err == nil && object.Kind == "ConfigMap" {
			return object.Data["scrape.yaml"]
		}
	}
	t.Fatal("the chart has no configuration")
	return ""
}

// bearing answers the bearer of a token with a text.
func bearing(t *testing.T, token, path, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token || r.URL.Path != path {
			t.Errorf("asked for %s by %q", r.URL.Path, r.Header.Get("Authorization"))
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, text)
	})
}

// api is an API server that knows a node and the ingress' pods, and answers only what
// the chart's roles allow.
func api(t *testing.T, kubelet string) http.Handler {
	host, port, err := net.SplitHostPort(kubelet)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	node := core.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	node.Status.Addresses = []core.NodeAddress{{Type: core.NodeInternalIP, Address: host}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(number)
	pod := func(name string, phase core.PodPhase) core.Pod {
		p := core.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ingress", Name: name, Labels: map[string]string{"app.kubernetes.io/name": "ingress"}}}
		p.Spec.Containers = []core.Container{{Name: "ingress"}}
		p.Status = core.PodStatus{Phase: phase, PodIP: "127.0.0.1"}
		return p
	}
	lists := map[string]any{
		"/api/v1/nodes":                   core.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []core.Node{node}},
		"/api/v1/namespaces/ingress/pods": core.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []core.Pod{pod("ingress-1", core.PodRunning), pod("ingress-0", core.PodFailed)}},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, ok := lists[r.URL.Path]
		switch {
		case !ok:
			t.Errorf("asked for %s, which no role allows", r.URL)
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Query().Get("watch") != "":
			w.(http.Flusher).Flush()
			<-r.Context().Done() // nothing changes
		default:
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(list); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestScraping has a real one scrape as the chart says, in a cluster of one node: what it
// may ask for, by which token, and what of all that it is told it keeps.
func TestScraping(t *testing.T) {
	kubelet := httptest.NewTLSServer(bearing(t, "for-the-api", "/metrics/resource", `container_cpu_usage_seconds_total{container="web",namespace="production",pod="shop-1"} 7
container_memory_working_set_bytes{container="web",namespace="production",pod="shop-1"} 5e7
container_start_time_seconds{container="web",namespace="production",pod="shop-1"} 1.7e9
node_memory_working_set_bytes 2e9
pod_cpu_usage_seconds_total{namespace="production",pod="shop-1"} 8
resource_scrape_error 0
`))
	t.Cleanup(kubelet.Close)
	ingress := httptest.NewServer(bearing(t, "for-the-ingress", "/metrics", `berth_ingress_requests_total{class="2xx",endpoint="10.118.1.7:8000",namespace="production",pod="shop-1",port="http",service="shop"} 11
berth_ingress_request_seconds_bucket{endpoint="10.118.1.7:8000",namespace="production",pod="shop-1",port="http",service="shop",le="+Inf"} 11
go_goroutines 40
nginx_up 1
`))
	t.Cleanup(ingress.Close)
	server := httptest.NewServer(api(t, kubelet.Listener.Addr().String()))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })

	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: kubelet.Certificate().Raw})
	_, port, err := net.SplitHostPort(ingress.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config := configuration(t)
	for here, there := range map[string]string{
		"/var/run/secrets/kubernetes.io/serviceaccount/token":  file("token", "for-the-api\n"),
		"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt": file("ca.crt", string(authority)),
		"/var/run/secrets/berth/ingress/token":                 file("ingress-token", "for-the-ingress\n"),
		"$1:10254":                                             "$1:" + port,
		"- role: node\n":                                       "- role: node\n        api_server: " + server.URL + "\n",
		"- role: pod\n        namespaces":                      "- role: pod\n        api_server: " + server.URL + "\n        namespaces",
		"scrape_interval: 15s\n":                               "scrape_interval: 1s\n",
		"scrape_timeout: 10s\n":                                "scrape_timeout: 1s\n",
	} {
		if strings.Count(config, here) != 1 {
			t.Fatalf("%q is not once in\n%s", here, config)
		}
		config = strings.ReplaceAll(config, here, there)
	}
	address := start(t, victoriaMetrics(t), "-promscrape.config="+file("scrape.yaml", config))

	want := []string{
		`berth_ingress_request_seconds_bucket{class="", container="", instance="ingress-1", job="ingress", namespace="production", node="", pod="shop-1", service="shop"}`,
		`berth_ingress_requests_total{class="2xx", container="", instance="ingress-1", job="ingress", namespace="production", node="", pod="shop-1", service="shop"}`,
		`container_cpu_usage_seconds_total{class="", container="web", instance="node-1", job="nodes", namespace="production", node="node-1", pod="shop-1", service=""}`,
		`container_memory_working_set_bytes{class="", container="web", instance="node-1", job="nodes", namespace="production", node="node-1", pod="shop-1", service=""}`,
		`node_memory_working_set_bytes{class="", container="", instance="node-1", job="nodes", namespace="", node="node-1", pod="", service=""}`,
		`pod_cpu_usage_seconds_total{class="", container="", instance="node-1", job="nodes", namespace="production", node="node-1", pod="shop-1", service=""}`,
		`up{class="", container="", instance="ingress-1", job="ingress", namespace="", node="", pod="", service=""}`,
		`up{class="", container="", instance="node-1", job="nodes", namespace="", node="node-1", pod="", service=""}`,
	}
	var diff string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		// What it says of its own scraping is left out.
		found, err := at(address).Query(t.Context(), `sort_by_label({__name__!~"scrape_.*"}, "__name__", "job")`, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range found {
			line := s.Labels["__name__"] + "{"
			for i, name := range []string{"class", "container", "instance", "job", "namespace", "node", "pod", "service"} {
				if i > 0 {
					line += ", "
				}
				line += fmt.Sprintf("%s=%q", name, s.Labels[name])
			}
			got = append(got, line+"}")
		}
		if diff = cmp.Diff(want, got); diff == "" {
			break
		}
	}
	if diff != "" {
		t.Error(diff)
	}
}
