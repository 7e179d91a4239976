package ingress_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
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
		{[]string{"rewrite-target", "/"}, "[] redirect true tls false grpc false 0"},
		{[]string{"rewrite-target", "https://other.test/"}, "[web InvalidIngress] redirect true tls false grpc false 503"},
		{[]string{"rewrite-target", "/$host"}, "[web InvalidIngress] redirect true tls false grpc false 503"},
		{[]string{"limit-rps", "0"}, "[] redirect true tls false grpc false 0"},
		{[]string{"limit-rps", "5", "limit-rpm", "60"}, "[web InvalidIngress] redirect true tls false grpc false 503"},
		{[]string{"limit-connections", "5"}, "[web ProtectionMissing] redirect true tls false grpc false 503"},
		{[]string{"affinity", "ip"}, "[web InvalidIngress] redirect true tls false grpc false 503"},
		{[]string{"session-cookie-name", "route"}, "[] redirect true tls false grpc false 0"},
		{[]string{"permanent-redirect", "https://new.test/a?b=c"}, "[] redirect true tls false grpc false 301"},
		{[]string{"permanent-redirect", "https://new.test/$host"}, "[web InvalidIngress] redirect true tls false grpc false 503"},
		{[]string{"permanent-redirect", "//new.test"}, "[web InvalidIngress] redirect true tls false grpc false 503"},
		{[]string{"server-alias", "x.test", "enable-cors", "true"}, "[web AnnotationsIgnored] redirect true tls false grpc false 0"},
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

// TestCommunityAnswers asks a real NGINX for what such annotations do to answers.
func TestCommunityAnswers(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RequestURI, r.Header.Get("X-Forwarded-Prefix"))
	}))
	t.Cleanup(echo.Close)
	var o ingress.Objects
	addService(&o, "web", address(echo))
	for host, annotations := range map[string][]string{
		"moved.test":   {"permanent-redirect", "https://new.test$request_uri"},
		"away.test":    {"temporal-redirect", "/elsewhere?x=1"},
		"sticky.test":  {"affinity", "cookie", "session-cookie-name", "http-cookie", "session-cookie-max-age", "172800", "session-cookie-samesite", "Lax"},
		"limited.test": {"limit-rpm", "1"},
		"prefix.test":  {"x-forwarded-prefix", "/app"},
	} {
		ing := newIngress("web", host, "/ web")
		for i := 0; i < len(annotations); i += 2 {
			annotate(ing, "nginx.ingress.kubernetes.io/"+annotations[i], annotations[i+1])
		}
		o.Ingresses = append(o.Ingresses, ing)
	}
	server := nginxtest.New(t)
	if problems := server.Serve(o); len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, test := range []struct {
		host, want string
		header     string
	}{
		{"moved.test", "301", "https://new.test/a%20b?c"},
		{"away.test", "302", "/elsewhere?x=1"},
		{"sticky.test", "200 /a%20b?c", "http-cookie=; HttpOnly; Max-Age=172800; SameSite=Lax"},
		{"prefix.test", "200 /a%20b?c/app", ""},
	} {
		response, body := get(t, "http://"+server.HTTP()+"/a%20b?c", test.host)
		header := response.Header.Get("Location") + regexp.MustCompile(`=[0-9a-f]{32}`).ReplaceAllString(response.Header.Get("Set-Cookie"), "=")
		got := fmt.Sprint(response.StatusCode)
		if response.StatusCode == 200 {
			got += " " + body
		}
		if got != test.want || header != test.header {
			t.Errorf("%s: got %s with %q, want %s with %q", test.host, got, header, test.want, test.header)
		}
	}
	for i := range 8 {
		want := 200
		if i > 5 {
			want = 503
		}
		if response, _ := get(t, "http://"+server.HTTP()+"/", "limited.test"); response.StatusCode != want {
			t.Errorf("request %d of the limited: %s, want %d", i+1, response.Status, want)
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

// TestCommunityRewrites asks a real NGINX where paths lead that are regular
// expressions in the way of the community's controller.
func TestCommunityRewrites(t *testing.T) {
	const useRegex, target = "nginx.ingress.kubernetes.io/use-regex", "nginx.ingress.kubernetes.io/rewrite-target"
	var o ingress.Objects
	for _, name := range []string{"web", "api", "admin"} {
		addService(&o, name, namedBackend(t, name))
	}
	deny := func(ing *networkingv1.Ingress) *networkingv1.Ingress {
		return annotate(ing, "nginx.ingress.kubernetes.io/whitelist-source-range", "192.0.2.0/24")
	}
	o.Ingresses = append(o.Ingresses,
		newIngress("plain", "rewrite.test", "/ web"),
		annotate(newIngress("group", "rewrite.test", "/something(/|$)(.*) api"), target, "/$2"),
		annotate(newIngress("fixed", "rewrite.test", "/tea api", "=/exact api"), target, "/green/$1"),
		annotate(newIngress("same", "same.test", "/ web", "/api api"), target, "/"),
		annotate(newIngress("all", "protected.test", "/(.*) web"), useRegex, "true"),
		deny(newIngress("admin", "protected.test", "/admin admin", "/ad.min/x admin")),
		annotate(deny(newIngress("replaced", "protected.test", "/replaced admin")), ingress.AnnotationRewrites, "serviceName=admin rewrite=/a"),
		annotate(deny(newIngress("expression", "expression.test", "/admin/(.*) admin")), useRegex, "true"),
		newIngress("around", "expression.test", "/ web"),
		annotate(newIngress("root", "root.test", "/ api"), useRegex, "true"),
		annotate(annotate(newIngress("closed", "rewrite.test", "/closed/(.*) api"), target, "/$1"), "nginx.org/policies", "x"),
	)
	server := nginxtest.New(t)
	if problems := server.Serve(o); fmt.Sprint(summary(problems)) != "[closed ProtectionMissing]" {
		t.Errorf("problems %v", problems)
	}
	for _, test := range []struct{ host, path, want string }{
		{"rewrite.test", "/", "web /"},
		{"rewrite.test", "/something", "api /"},
		{"rewrite.test", "/something/a/b?q=1", "api /a/b?q=1"},
		{"rewrite.test", "/SOMETHING/new", "api /new"},
		{"rewrite.test", "/something/a%20b%3Fc%0Ad", "api /a%20b%3Fc%0Ad"},
		{"rewrite.test", "/somethingelse", "web /somethingelse"},
		{"rewrite.test", "/tea/leaves", "api /green/"},
		{"rewrite.test", "/exact?q", "api /green/?q"},
		{"rewrite.test", "/closed/a", "503"},
		{"same.test", "/any/path", "web /any/path"},
		{"same.test", "/api/v1", "api /"},
		{"protected.test", "/other", "web /other"},
		{"protected.test", "/admin", "403"},
		{"protected.test", "/admin/users", "403"},
		{"protected.test", "/x/../admin/users", "403"},
		{"protected.test", "/ad.min/x/y", "403"},
		{"protected.test", "/replaced/x", "403"},
		{"protected.test", "/adxmin/x/y", "web /adxmin/x/y"},
		{"protected.test", "/administrator", "web /administrator"},
		{"expression.test", "/admin/users", "403"},
		{"expression.test", "/Admin/users", "403"},
		{"expression.test", "/admin", "web /admin"},
		{"root.test", "/a", "api /a"},
	} {
		response, got := get(t, "http://"+server.HTTP()+test.path, test.host)
		if response.StatusCode != 200 {
			got = fmt.Sprint(response.StatusCode)
		}
		if got != test.want {
			t.Errorf("%s%s: got %q, want %q", test.host, test.path, got, test.want)
		}
	}
}
