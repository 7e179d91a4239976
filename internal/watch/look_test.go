package watch

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"berth/internal/alert"
)

// kubeletSays is what a kubelet answers, shortened.
const kubeletSays = `{"node":{"nodeName":"node-1","fs":{"time":"2026-01-01T00:00:00Z","availableBytes":20,"capacityBytes":100,"usedBytes":70}},
"pods":[{"podRef":{"name":"db-0","namespace":"production","uid":"1"},"volume":[
 {"availableBytes":5,"capacityBytes":50,"usedBytes":40,"name":"data","pvcRef":{"name":"data-db-0","namespace":"production"}},
 {"availableBytes":5,"capacityBytes":50,"usedBytes":40,"name":"scratch"},
 {"availableBytes":20,"capacityBytes":100,"usedBytes":1,"name":"shared","pvcRef":{"name":"on-the-nodes-disk","namespace":"production"}}]},
 {"podRef":{"name":"x","namespace":"other"},"volume":[{"availableBytes":0,"capacityBytes":9,"name":"v","pvcRef":{"name":"v","namespace":"other"}}]}]}`

func TestDisksAreAskedOfTheKubelet(t *testing.T) {
	kubelet := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stats/summary" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		fmt.Fprint(w, kubeletSays)
	}))
	t.Cleanup(kubelet.Close)
	host, port, err := net.SplitHostPort(kubelet.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	at := node("node-1")
	at.Status.Addresses = []core.NodeAddress{{Type: core.NodeInternalIP, Address: host}}
	at.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(number)
	l := testLooks(nil)
	l.kubelets = &http.Client{Transport: plain{}}
	w := &World{Now: now, Nodes: []*core.Node{at, node("node-2"), node("node-3", lost)}}
	l.lookAtDisks(t.Context(), w)
	l.add(w)
	want := []Disk{{Node: "node-1", Used: 80, Capacity: 100}, {Namespace: "production", Claim: "data-db-0", Used: 45, Capacity: 50}}
	if diff := cmp.Diff(want, w.Disks); diff != "" {
		t.Errorf("the disks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"the disks of node-2: its kubelet cannot be asked: its address is not known"}, l.blind()); diff != "" {
		t.Errorf("what it cannot see (-want +got):\n%s", diff)
	}
}

// plain speaks HTTP where HTTPS is asked for.
type plain struct{}

func (plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return http.DefaultTransport.RoundTrip(r)
}

func testLooks(client *API) *looks {
	return &looks{options: Options{Namespaces: []string{"production"}, Log: slog.New(slog.DiscardHandler)}, client: client,
		disks: map[string]*diskHistory{}, blindTo: map[string]string{}, lines: map[string]*lineCount{}}
}

func TestWhenADiskWillBeFull(t *testing.T) {
	for _, test := range []struct {
		name string
		// used is what was used in the hours before.
		used []int64
		want time.Duration
	}{
		{"nothing is known yet", []int64{50}, 0},
		{"it does not grow", []int64{50, 50, 50}, 0},
		{"it shrinks", []int64{60, 50, 40}, 0},
		{"ten an hour, thirty are left", []int64{50, 60, 70}, 3 * time.Hour},
		{"it is full", []int64{90, 100}, 0},
		{"a day of one an hour", append(make([]int64, 0), climb(60, 30)...), 11 * time.Hour},
	} {
		h, at := &diskHistory{}, now
		for _, used := range test.used {
			at = at.Add(time.Hour)
			h.add(Disk{Used: used, Capacity: 100}, at)
		}
		got := time.Duration(0)
		if full := h.disk().Full; !full.IsZero() {
			got = full.Sub(at).Round(time.Minute)
		}
		if got != test.want {
			t.Errorf("%s: in %s, want %s", test.name, got, test.want)
		}
	}
}

func climb(from int64, steps int) (all []int64) {
	for i := range steps {
		all = append(all, from+int64(i))
	}
	return all
}

func TestLinesThatWereLost(t *testing.T) {
	l := testLooks(nil)
	for i, step := range []struct {
		total, want int64
		after       time.Duration
	}{
		{100, 0, 0}, // before the watch began
		{100, 0, time.Second}, {107, 7, time.Second}, {110, 10, time.Second},
		{4, 14, time.Second}, // a new agent, which has lost four
		{4, 14, time.Minute}, {4, 0, 15 * time.Minute},
	} {
		now := now.Add(step.after)
		if got := l.lost("node/sink", step.total, now); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
}

func TestCertificatesOfCertManager(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int
		want         []Certificate
	}{
		{"it is not there", "", http.StatusNotFound, nil},
		{"one that is good, one not issued yet, one that is not renewed", `{"items":[
			{"metadata":{"namespace":"production","name":"a"},"spec":{"secretName":"a-tls","dnsNames":["a.example"]},"status":{"notAfter":"2026-06-01T00:00:00Z","conditions":[{"type":"Ready","status":"True"}]}},
			{"metadata":{"namespace":"production","name":"b"},"spec":{"secretName":"b-tls"},"status":{}},
			{"metadata":{"namespace":"production","name":"c"},"spec":{"secretName":"c-tls"},"status":{"notAfter":"2026-05-01T00:00:00Z","conditions":[{"type":"Ready","status":"False","message":"order failed"}]}}]}`,
			http.StatusOK, []Certificate{
				{Namespace: "production", Name: "a-tls", Hosts: []string{"a.example"}, Ends: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)},
				{Namespace: "production", Name: "c-tls", Ends: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Problem: "order failed"},
			}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(test.status)
			fmt.Fprint(w, test.answer)
		}))
		t.Cleanup(server.Close)
		client, err := Connect(&rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		got, err := testLooks(client).ofCertManager(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].Ends = got[i].Ends.UTC()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestCertificatesOfBerthsIngress(t *testing.T) {
	list := &core.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: publishedIn, Name: published},
		Data: map[string]string{"production_shop-tls": `{"ends":"2040-05-04T12:00:00Z","hosts":["shop.example"]}`}}
	got, err := testLooks(fakeAPI(t, list)).ofIngress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Certificate{{Namespace: "production", Name: "shop-tls", Hosts: []string{"shop.example"}, Ends: time.Date(2040, 5, 4, 12, 0, 0, 0, time.UTC)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := testLooks(fakeAPI(t)).ofIngress(t.Context()); err != nil || got != nil {
		t.Errorf("without that ingress: %v, %v", got, err)
	}
}

// The date is seen of a certificate that nobody trusts.
func TestACertificateIsShownToWhoeverConnects(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	ends, err := handshake(t.Context(), server.Listener.Addr().String(), "example.com")
	if err != nil || !ends.Equal(server.Certificate().NotAfter) {
		t.Errorf("it ends at %s, %v; want %s", ends, err, server.Certificate().NotAfter)
	}
	// Of an ingress on the loopback, as a local cluster has it, nothing is asked.
	local := networking.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "production"}, Spec: networking.IngressSpec{
		TLS: []networking.IngressTLS{{Hosts: []string{"a"}, SecretName: "s"}}}}
	local.Status.LoadBalancer.Ingress = []networking.IngressLoadBalancerIngress{{IP: "127.0.0.1"}}
	if got := shown(t.Context(), []networking.Ingress{local}, map[string]bool{}, []string{"production"}); got != nil {
		t.Errorf("got %v", got)
	}
}

// What was told outlives the pod; what cannot be read of it keeps no watch from
// watching.
func TestStateOutlivesThePod(t *testing.T) {
	client := fakeAPI(t)
	s := &state{client: client, namespace: "watch", log: slog.New(slog.DiscardHandler)}
	kept, err := s.load(t.Context())
	if err != nil || len(kept.Entries) != 0 {
		t.Fatalf("on the first start: %+v, %v", kept, err)
	}
	want := saved{
		Entries: map[string]*Entry{"web": {Key: "web", Namespace: "production", Kind: crashLoop, Since: now, Told: now}},
		Letters: []alert.Letter{{Message: alert.Message{Title: "a", Text: "b"}, Written: now, To: []string{"1"}}},
	}
	s.save(t.Context(), want)
	want.Entries["web"].Returns = 2
	s.save(t.Context(), want)
	kept, err = (&state{client: client, namespace: "watch", log: s.log}).load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("what was kept (-want +got):\n%s", diff)
	}
	for _, damaged := range []string{"", "{", `{"Entries":{"web":null}}`, `[]`} {
		object := &core.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "watch", Name: stateName}, Data: map[string]string{stateKey: damaged}}
		kept, err := (&state{client: fakeAPI(t, object), namespace: "watch", log: s.log}).load(t.Context())
		if err != nil || kept.Entries == nil || len(kept.Entries) != 0 {
			t.Errorf("%q: %+v, %v", damaged, kept, err)
		}
	}
}
