package release

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/rollout"
)

// elsewhere is an authority that is not asked.
type elsewhere struct{ provider.Authority }

// A host that another application has answers, too, and with 200: with the other
// one's certificate.
func TestAHostThatAnotherApplicationHasIsNotServed(t *testing.T) {
	for _, test := range []struct {
		name        string
		own         bool
		status      int
		event, want string
	}{
		{name: "its own", own: true, status: 200},
		{name: "its own, which wants a login", own: true, status: 401},
		{name: "nobody behind the ingress", own: true, status: 502, want: "502 Bad Gateway"},
		{name: "another's", status: 200, want: "another application has the host"},
		{name: "another's, and the controller says so", own: true, status: 200, event: `host "k.localhost" belongs to the older Ingress knob/knob`, want: "older Ingress knob/knob"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, c := newWorld(t)
			began := time.Now()
			own, key, err := selfSigned("shop.localhost")
			w.try(err)
			served, servedKey := own, key
			if !test.own {
				served, servedKey, err = selfSigned("shop.localhost")
				w.try(err)
			}
			pair, err := tls.X509KeyPair(served, servedKey)
			w.try(err)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Host != "shop.localhost" {
					t.Errorf("asked for %s", r.Host)
				}
				w.WriteHeader(test.status)
			}))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			server.StartTLS()
			defer server.Close()
			c.cluster.Ingress = &provider.Ingress{HTTPS: server.Listener.Addr().String()}
			c.cluster.Authority = elsewhere{}
			e := c.config.Environments["production"]
			e.Hosts = []string{"shop.localhost"}
			c.config.Environments["production"] = e
			w.try(kube.Secret{Namespace: "production", Name: "shop-tls", Data: map[string][]byte{core.TLSCertKey: own}}.Apply(t.Context(), c.kube))
			if test.event != "" {
				w.put(core.SchemeGroupVersion.WithResource("events"), &core.Event{
					ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "production"}, Type: "Warning", Reason: "Conflict", Message: test.event,
					InvolvedObject: core.ObjectReference{Kind: "Ingress", Name: "shop"}, EventTime: metav1.NewMicroTime(began.Add(time.Second)),
				})
			}
			err = c.wayIn(t.Context(), "production", began, progress.Discard.Step(""))
			if test.want == "" {
				w.try(err)
				return
			}
			if lost := new(rollout.Error); !errors.As(err, &lost) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
