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

	"berth/internal/config"
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
			serve(t, c, served, servedKey, test.status)
			c.cluster.Authority = elsewhere{}
			c.config.Environments["production"] = config.Environment{Hosts: []string{"shop.localhost"}}
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

// serve has the cluster's ingress answer for shop.localhost, which is
// production's host.
func serve(t *testing.T, c *Client, chain, key []byte, status int) {
	t.Helper()
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.localhost" {
			t.Errorf("asked for %s", r.Host)
		}
		w.WriteHeader(status)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	c.cluster.Ingress = &provider.Ingress{HTTPS: server.Listener.Addr().String()}
}

// A deploy that changes nothing asks through the ingress, too: the host may have
// become another application's since.
func TestUnchangedButNotReachedIsAnError(t *testing.T) {
	w, c := newWorld(t)
	c.cluster.Authority = newAuthority(t)
	c.config.Environments["production"] = config.Environment{Database: config.NoDatabase, Replicas: 2, Hosts: []string{"shop.localhost"}}
	mustDeploy(t, c, "good:1")
	foreign, key, err := selfSigned("shop.localhost")
	w.try(err)
	serve(t, c, foreign, key, 200)
	_, err = c.Deploy(t.Context(), "production", "good:1", progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "nothing changed, but revision 1 is not reached") || !strings.Contains(err.Error(), "another application has the host") {
		t.Errorf("got %v", err)
	}
	wantHistory(t, c, "1 deployed good:1: deploy good:1 by mira@laptop")
}
