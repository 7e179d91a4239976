package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

// cluster is an API server with pods of the ingress, whose ports are carried with the code
// that a container runtime does it with. Each pod's counters are a text.
type cluster struct {
	t    *testing.T
	pods map[string]string
}

func newCluster(t *testing.T, pods map[string]string) Reader {
	server := httptest.NewServer(cluster{t, pods})
	t.Cleanup(server.CloseClientConnections)
	reach := &rest.Config{Host: server.URL}
	client, err := kubernetes.NewForConfig(reach)
	if err != nil {
		t.Fatal(err)
	}
	return Reader{Client: client, REST: reach}
}

func (c cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		http.Error(w, "no WebSockets here", http.StatusBadRequest)
	case r.URL.Path == "/api/v1/namespaces/ingress/pods":
		if got := r.URL.Query().Get("labelSelector"); got != selector {
			c.t.Errorf("asked for pods by %q", got)
		}
		list := core.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
		for name := range c.pods {
			pod := core.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ingress"}}
			pod.Status.Conditions = []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}
			list.Items = append(list.Items, pod)
		}
		w.Header().Set("Content-Type", "application/json")
		if err := scheme.Codecs.LegacyCodec(core.SchemeGroupVersion).Encode(&list, w); err != nil {
			c.t.Error(err)
		}
	default:
		parts := strings.Split(r.URL.Path, "/")
		portforward.ServePortForward(w, r, c, parts[len(parts)-2], "", nil, time.Hour, time.Minute, portforward.SupportedProtocols)
	}
}

// PortForward is what the kubelet of a pod does.
func (c cluster) PortForward(_ context.Context, pod, _ string, port int32, stream io.ReadWriteCloser) error {
	if c.pods[pod] == "" || port != 10254 {
		return errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	listener := single{ours, make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/metrics?namespace=production" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, c.pods[pod])
	})}
	go server.Serve(&listener) //nolint:errcheck // it ends with the connection
	defer server.Close()
	go io.Copy(theirs, stream) //nolint:errcheck // so does this
	_, err := io.Copy(stream, theirs)
	return err
}

// single is a listener of one connection.
type single struct {
	connection net.Conn
	closed     chan struct{}
}

func (s *single) Accept() (net.Conn, error) {
	if s.connection != nil {
		connection := s.connection
		s.connection = nil
		return connection, nil
	}
	<-s.closed
	return nil, net.ErrClosed
}

func (s *single) Close() error   { close(s.closed); return nil }
func (s *single) Addr() net.Addr { return &net.TCPAddr{} }

const counters = `# TYPE berth_ingress_request_seconds histogram
berth_ingress_request_seconds_bucket{endpoint="10.118.1.7:8000",namespace="production",port="http",service="shop",le="0.25"} 10
berth_ingress_request_seconds_bucket{endpoint="10.118.1.7:8000",namespace="production",port="http",service="shop",le="0.5"} 12
berth_ingress_request_seconds_bucket{endpoint="10.118.1.7:8000",namespace="production",port="http",service="shop",le="+Inf"} 15
berth_ingress_request_seconds_sum{endpoint="10.118.1.7:8000",namespace="production",port="http",service="shop"} 4.5
berth_ingress_request_seconds_count{endpoint="10.118.1.7:8000",namespace="production",port="http",service="shop"} 15
# TYPE berth_ingress_requests_total counter
berth_ingress_requests_total{class="2xx",endpoint="10.118.1.7:8000",namespace="production",port="http",service="shop"} 11
berth_ingress_requests_total{class="5xx",endpoint="10.118.1.7:8000",namespace="production",port="http",service="shop"} 4
`

func TestReadSumsUpThePodsOfTheIngress(t *testing.T) {
	reader := newCluster(t, map[string]string{
		"ingress-1": counters, "ingress-2": counters + strings.ReplaceAll(counters[strings.Index(counters, "\nberth_ingress_requests"):], "10.118.1.7", "10.118.1.8"),
	})
	got, err := reader.Read(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Endpoint{
		"10.118.1.7:8000": {Classes: [6]int{2: 22, 5: 8}, Bounds: []float64{0.25, 0.5}, Buckets: []int{20, 4, 6}},
		"10.118.1.8:8000": {Classes: [6]int{2: 11, 5: 4}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadSaysWhy(t *testing.T) {
	for _, test := range []struct {
		name string
		pods map[string]string
		want string
	}{
		{"no pod", nil, "read the ingress' counters: none of its pods is ready"},
		{"nothing listens", map[string]string{"ingress-1": ""}, "connection refused"},
		{"no counters", map[string]string{"ingress-1": "<html>"}, "read the counters of pod ingress-1: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := newCluster(t, test.pods).Read(t.Context(), "production")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
