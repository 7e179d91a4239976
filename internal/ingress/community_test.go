package ingress_test

import (
	"fmt"
	"testing"

	"berth/internal/ingress"
)

// TestCommunity checks what annotations of the Kubernetes community's controller
// come to, as the charts of well-known projects write them.
func TestCommunity(t *testing.T) {
	const community = "nginx.ingress.kubernetes.io/"
	for _, test := range []struct {
		annotations []string // names and values
		want        string
	}{
		{nil, "[] redirect true tls false grpc false 0"},
		{[]string{"backend-protocol", "HTTP"}, "[] redirect true tls false grpc false 0"},
		{[]string{"backend-protocol", "https"}, "[] redirect true tls true grpc false 0"},
		{[]string{"backend-protocol", "GRPC"}, "[] redirect true tls false grpc true 0"},
		{[]string{"backend-protocol", "GRPCS"}, "[] redirect true tls true grpc true 0"},
		{[]string{"backend-protocol", "FCGI"}, "[web InvalidIngress] redirect true tls false grpc false 503"},
		{[]string{"ssl-redirect", "false"}, "[] redirect false tls false grpc false 0"},
		{[]string{"ssl-redirect", "false", "force-ssl-redirect", "true"}, "[] redirect true tls false grpc false 0"},
		{[]string{"force-ssl-redirect", "false"}, "[] redirect true tls false grpc false 0"},
		{[]string{"client-body-buffer-size", "1M", "proxy-body-size", "8G"}, "[] redirect true tls false grpc false 0"},
		{[]string{"rewrite-target", "/", "enable-cors", "true"}, "[web AnnotationsIgnored] redirect true tls false grpc false 0"},
		{[]string{"canary", "false", "canary-weight", "10"}, "[web AnnotationsIgnored] redirect true tls false grpc false 0"},
	} {
		ing := withTLS(newIngress("web", "web.test", "/ web"), "tls")
		for i := 0; i < len(test.annotations); i += 2 {
			annotate(ing, community+test.annotations[i], test.annotations[i+1])
		}
		var o ingress.Objects
		addService(&o, "web", "10.0.0.1:80")
		o.Secrets = append(o.Secrets, newAuthority(t).secret("tls", "web.test"))
		o.Ingresses = append(o.Ingresses, ing)
		model, problems := ingress.Build(o, goldenSettings())
		h := model.Hosts[1]
		l := h.Locations[0]
		got := fmt.Sprintf("%v redirect %v tls %v grpc %v %d", summary(problems), h.RedirectHTTP, l.TLS != nil, l.GRPC, l.Status)
		if got != test.want {
			t.Errorf("%q: got %s, want %s", test.annotations, got, test.want)
		}
	}
}

// TestCanary checks that an Ingress for a part of the requests never gets all of
// them, though it is the older one.
func TestCanary(t *testing.T) {
	var o ingress.Objects
	addService(&o, "next", "10.0.0.1:80")
	addService(&o, "web", "10.0.0.2:80")
	canary := annotate(newIngress("canary", "web.test", "/ next", "/only next"), "nginx.ingress.kubernetes.io/canary", "true")
	annotate(canary, "nginx.ingress.kubernetes.io/canary-weight", "10")
	o.Ingresses = append(o.Ingresses, canary, newIngress("web", "web.test", "/ web"))
	model, problems := ingress.Build(o, goldenSettings())
	if got := fmt.Sprint(summary(problems)); got != "[canary CanaryLeftOut]" || !problems[0].LeftOut() {
		t.Errorf("problems %s", got)
	}
	if l := model.Hosts[1].Locations; len(l) != 1 || l[0].Backend != "shop.web.80" {
		t.Errorf("locations %+v", l)
	}
}
