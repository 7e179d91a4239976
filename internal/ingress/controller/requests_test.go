package controller

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// counted returns how many requests /metrics says that a namespace had, sorted, with names
// for the endpoints.
func (h *harness) counted(namespace string, names map[string]string) string {
	h.t.Helper()
	recorder := httptest.NewRecorder()
	statusHandler(h.Ready, h.server.Get, h.pods.of).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics?namespace="+namespace, nil))
	if recorder.Code != http.StatusOK {
		h.t.Fatalf("metrics: %d %s", recorder.Code, recorder.Body)
	}
	var lines []string
	for line := range strings.Lines(recorder.Body.String()) {
		if strings.HasPrefix(line, "berth_ingress_requests_total") || strings.HasPrefix(line, "berth_ingress_request_seconds_count") {
			for address, name := range names {
				line = strings.ReplaceAll(line, address, name)
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestRequestsAreCounted sends requests through NGINX and reads what was counted, for each
// endpoint: what it answered, not what NGINX did itself.
func TestRequestsAreCounted(t *testing.T) {
	h := newHarness(t, testIngress("web", "nginx", "web.test"))
	answering := func(status int) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(60 * time.Millisecond)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, r.URL.Path)
		}))
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	good, bad := answering(200), answering(500)
	h.reconcile()
	pods := map[string]string{"good": "web-1"} // the other is no pod
	h.pods.learn([]*discoveryv1.EndpointSlice{podAt(t, "shop", good, pods["good"])}, time.Now())
	serve := func(endpoints ...string) {
		t.Helper()
		if err := h.server.ServeEndpoints(t.Context(), map[string][]string{"shop.web.80": endpoints}); err != nil {
			t.Fatal(err)
		}
	}
	send := func(path string, times int) {
		t.Helper()
		for range times {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.server.HTTP()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = "web.test"
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	names := map[string]string{good: "good", bad: "bad", "127.0.0.1:1": "nobody"}
	check := func(what string, want ...string) {
		t.Helper()
		// NGINX counts a request after its client has the last byte.
		var diff string
		slices.Sort(want)
		for range 100 {
			if diff = cmp.Diff(strings.Join(want, ""), h.counted("shop", names)); diff == "" {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%s:\n%s", what, diff)
	}
	total := func(endpoint, class string, n int) string {
		return fmt.Sprintf("berth_ingress_requests_total{class=%q,endpoint=%q,namespace=\"shop\",pod=%q,port=\"80\",service=\"web\"} %d\n", class, endpoint, pods[endpoint], n)
	}
	count := func(endpoint string, n int) string {
		return fmt.Sprintf("berth_ingress_request_seconds_count{endpoint=%q,namespace=\"shop\",pod=%q,port=\"80\",service=\"web\"} %d\n", endpoint, pods[endpoint], n)
	}

	serve(good)
	send("/", 7)
	send("/slow", 3)
	check("one endpoint", count("good", 10), total("good", "2xx", 10))
	if times := h.histogram(t, good); times[0.05] > 7 || times[10] != 10 {
		t.Errorf("10 requests, of which 3 take 60 ms and more: %v", times)
	}

	serve(bad)
	send("/", 4)
	check("its successor", count("bad", 4), count("good", 10), total("bad", "5xx", 4), total("good", "2xx", 10))

	// What no endpoint got is nobody's, and a request that was sent again is
	// that of the endpoint which answered.
	serve()
	send("/", 2)
	serve("127.0.0.1:1")
	send("/", 2)
	check("nobody there", count("bad", 4), count("good", 10), count("nobody", 2),
		total("bad", "5xx", 4), total("good", "2xx", 10), total("nobody", "5xx", 2))

	// Another pod may have the address later: it begins at 0. A reload is nothing
	// to the counters.
	serve(good)
	send("/", 1)
	check("an address that came back", count("bad", 4), count("good", 1), count("nobody", 2),
		total("bad", "5xx", 4), total("good", "2xx", 1), total("nobody", "5xx", 2))
	if err := h.Client.Create(t.Context(), testIngress("more", "nginx", "more.test")); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	check("after a reload", count("bad", 4), count("good", 1), count("nobody", 2),
		total("bad", "5xx", 4), total("good", "2xx", 1), total("nobody", "5xx", 2))

	if got := h.counted("sho", names) + h.counted("p", names); got != "" {
		t.Errorf("another namespace has %s", got)
	}
}

// podAt is the EndpointSlice of a pod.
func podAt(t *testing.T, namespace, address, pod string) *discoveryv1.EndpointSlice {
	t.Helper()
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port := int32(at.Port())
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace}, Ports: []discoveryv1.EndpointPort{{Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod}}},
	}
}

// histogram returns the cumulative buckets of an endpoint.
func (h *harness) histogram(t *testing.T, address string) map[float64]uint64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(requests{get: h.server.Get, pod: h.pods.of})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	buckets := map[float64]uint64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "endpoint" && label.GetValue() == address {
					for _, bucket := range metric.GetHistogram().GetBucket() {
						buckets[bucket.GetUpperBound()] = bucket.GetCumulativeCount()
					}
				}
			}
		}
	}
	return buckets
}
