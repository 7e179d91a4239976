package controller

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth/internal/ingress/nginxtest"
)

// harness is a cluster that is not there, an NGINX that is, and the reconciler
// between them.
type harness struct {
	*Reconciler
	t      *testing.T
	events *events.FakeRecorder
	server *nginxtest.Instance
	log    *bytes.Buffer
}

func newHarness(t *testing.T, objects ...client.Object) *harness {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "web") }))
	t.Cleanup(web.Close)
	address := netip.MustParseAddrPort(web.Listener.Addr().String())
	port, name := int32(address.Port()), "http"
	objects = append(objects,
		&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: Name}},
		&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/other"}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{address.Addr().String()}}},
			Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		},
	)
	h := &harness{t: t, events: events.NewFakeRecorder(100), server: nginxtest.New(t), log: &bytes.Buffer{}}
	h.Reconciler = &Reconciler{
		Client: fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(objects...).WithStatusSubresource(&networkingv1.Ingress{}).Build(),
		Events: h.events, NGINX: h.server.Server, Log: slog.New(slog.NewJSONHandler(h.log, nil)),
		Addresses: []networkingv1.IngressLoadBalancerIngress{{IP: "127.0.0.1"}},
	}
	return h
}

func testIngress(name, class, host string) *networkingv1.Ingress {
	kind := networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Annotations: map[string]string{}},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
				HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &kind,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}},
				}}},
			}}},
		},
	}
}

func (h *harness) reconcile() {
	h.t.Helper()
	for {
		result, err := h.Reconcile(h.t.Context(), reconcile.Request{})
		if err != nil {
			h.t.Fatal(err)
		}
		if result.RequeueAfter == calendarInterval {
			if err := h.publish(h.t.Context()); err != nil {
				h.t.Fatal(err)
			}
			return
		}
		time.Sleep(result.RequeueAfter)
	}
}

func (h *harness) status(host string) int {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.server.HTTP(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// wantStatus gives the workers of before a moment to notice that they are to
// quit: until then they answer, too.
func (h *harness) wantStatus(host string, want int) {
	h.t.Helper()
	got := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = h.status(host); got == want {
			return
		}
	}
	h.t.Errorf("%s answers %d, want %d", host, got, want)
}

// told returns the Events since it was last called.
func (h *harness) told() (all []string) {
	for {
		select {
		case event := <-h.events.Events:
			all = append(all, event)
		default:
			return all
		}
	}
}

func (h *harness) published(name string) string {
	h.t.Helper()
	var ing networkingv1.Ingress
	if err := h.Client.Get(h.t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, &ing); err != nil {
		h.t.Fatal(err)
	}
	var all []string
	for _, entry := range ing.Status.LoadBalancer.Ingress {
		all = append(all, entry.IP)
	}
	return strings.Join(all, " ")
}

// TestReconcile follows a cluster through some changes.
func TestReconcile(t *testing.T) {
	legacy := testIngress("legacy", "", "legacy.example")
	legacy.Spec.IngressClassName = nil
	legacy.Annotations["kubernetes.io/ingress.class"] = "nginx"
	bad := testIngress("bad", "nginx", "bad.example")
	bad.Spec.Rules[0].HTTP.Paths[0].Path = "/{"
	h := newHarness(t, testIngress("good", "nginx", "good.example"), testIngress("foreign", "other", "foreign.example"), legacy, bad)
	if h.Ready() {
		t.Error("ready before anything is served")
	}
	h.reconcile()
	if !h.Ready() {
		t.Error("not ready")
	}
	h.wantStatus("good.example", 200)
	h.wantStatus("legacy.example", 200)
	h.wantStatus("foreign.example", 404)
	h.wantStatus("bad.example", 404)
	if events := h.told(); len(events) != 1 || !strings.HasPrefix(events[0], `Warning InvalidIngress path "/{"`) {
		t.Errorf("events %q", events)
	}
	if !strings.Contains(h.log.String(), `"ingress":"bad","reason":"InvalidIngress"`) {
		t.Errorf("log %s", h.log)
	}
	for name, want := range map[string]string{"good": "127.0.0.1", "legacy": "127.0.0.1", "bad": "", "foreign": ""} {
		if got := h.published(name); got != want {
			t.Errorf("status of %s: %q, want %q", name, got, want)
		}
	}

	generation := h.generation
	h.reconcile()
	if h.generation != generation || len(h.told()) > 0 {
		t.Error("without a change, NGINX was reloaded or an Event repeated")
	}

	if err := h.Client.Delete(t.Context(), testIngress("good", "nginx", "")); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	h.wantStatus("good.example", 404)
	h.wantStatus("legacy.example", 200)
}

// TestRefusedByNGINX covers what this controller lets through and NGINX does
// not: the culprit is left out, whatever else changes is served.
func TestRefusedByNGINX(t *testing.T) {
	h := newHarness(t, testIngress("good", "nginx", "good.example"))
	h.reconcile()
	// Nothing known gets past the checks, so the test makes NGINX refuse a host.
	culprit := testIngress("culprit", "nginx", "culprit.example")
	for _, object := range []client.Object{culprit, testIngress("newer", "nginx", "newer.example")} {
		if err := h.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	h.refuse("culprit.example")
	h.reconcile()
	h.wantStatus("good.example", 200)
	h.wantStatus("newer.example", 200)
	h.wantStatus("culprit.example", 404)
	if events := h.told(); len(events) != 1 || !strings.HasPrefix(events[0], "Warning RefusedByNGINX") {
		t.Errorf("events %q", events)
	}
	if got := h.published("culprit"); got != "" {
		t.Errorf("the culprit's status is %q", got)
	}
	generation := h.generation
	h.reconcile()
	if h.generation != generation || len(h.told()) > 0 {
		t.Error("without a change, NGINX was reloaded or an Event repeated")
	}
}

func TestStatusEndpoints(t *testing.T) {
	h := newHarness(t)
	handler := statusHandler(h.Ready, h.server.Get, h.pods.of)
	ask := func(path string) *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		return recorder
	}
	if got := fmt.Sprint(ask("/healthz").Code, ask("/readyz").Code); got != "200 503" {
		t.Errorf("before the first configuration: %s", got)
	}
	h.reconcile()
	if got := fmt.Sprint(ask("/healthz").Code, ask("/readyz").Code); got != "200 200" {
		t.Errorf("while NGINX serves: %s", got)
	}
	samples := gather(t, stubStatus{h.server.Get})
	if samples["nginx_up"] != 1 || samples["nginx_http_requests_total"] < 1 {
		t.Errorf("samples %v", samples)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.server.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(ask("/healthz").Code, ask("/readyz").Code); got != "503 503" {
		t.Errorf("after NGINX has stopped: %s", got)
	}
	if up := gather(t, stubStatus{h.server.Get})["nginx_up"]; up != 0 {
		t.Errorf("nginx_up is %v after NGINX has stopped", up)
	}
}
