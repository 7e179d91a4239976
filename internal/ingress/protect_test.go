package ingress_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// passwords returns a Secret with one user, admin, whose password is secret.
func passwords(name, content string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Type: ingress.SecretTypePasswords,
		Data: map[string][]byte{"htpasswd": []byte(content)},
	}
}

// TestProtection asks a real NGINX whether what keeps others out does so. What
// cannot be had closes its paths, though a shorter path of another Ingress would
// lead to the same application.
func TestProtection(t *testing.T) {
	var o ingress.Objects
	addService(&o, "web", namedBackend(t, "web"))
	o.Secrets = []*corev1.Secret{
		passwords("users", "# comment\nadmin:{PLAIN}secret\n"), passwords("empty", "\n"), passwords("broken", "admin\n"),
	}
	add := func(name, path string, annotations ...string) {
		ing := newIngress(name, "web.test", path+" web")
		for i := 0; i < len(annotations); i += 2 {
			annotate(ing, annotations[i], annotations[i+1])
		}
		o.Ingresses = append(o.Ingresses, ing)
	}
	const community = "nginx.ingress.kubernetes.io/"
	add("open", "/")
	add("auth", "/auth", ingress.AnnotationBasicAuthSecret, "users", "nginx.org/basic-auth-realm", "Shop")
	add("nosecret", "/nosecret", ingress.AnnotationBasicAuthSecret, "missing")
	add("empty", "/empty", ingress.AnnotationBasicAuthSecret, "empty")
	add("broken", "/broken", ingress.AnnotationBasicAuthSecret, "broken")
	add("badname", "/badname", ingress.AnnotationBasicAuthSecret, "no name")
	add("policies", "/policies", "nginx.org/policies", "webapp-policy")
	add("snippets", "/snippets", "nginx.org/server-snippets", "deny all;")
	add("authurl", "/authurl", community+"auth-url", "https://login.test")
	add("here", "/here", community+"whitelist-source-range", "127.0.0.0/8,10.0.0.1")
	add("elsewhere", "/elsewhere", community+"allowlist-source-range", "192.0.2.0/24")
	add("denied", "/denied", community+"denylist-source-range", "127.0.0.1")
	add("badlist", "/badlist", community+"whitelist-source-range", "localhost")
	add("limited", "/limited", ingress.AnnotationLimitRate, "1r/m")
	add("burst", "/burst", ingress.AnnotationLimitRate, "1r/m", "nginx.org/limit-req-burst", "1", "nginx.org/limit-req-no-delay", "true", "nginx.org/limit-req-reject-code", "503")
	add("unset", "/unset", "nginx.org/client-max-body-size", "", ingress.AnnotationSSLRedirect, " ", "nginx.org/path-regex", "")
	add("emptylist", "/emptylist", community+"whitelist-source-range", "")
	add("loadbalancer", "/loadbalancer", "alb.ingress.kubernetes.io/inbound-cidrs", "10.0.0.0/8")
	// What is wrong with a part of an Ingress opens no other part.
	add("badpath", "/badpath", ingress.AnnotationBasicAuthSecret, "users")
	addRule(o.Ingresses[len(o.Ingresses)-1], "web.test", "/a%2fb web")
	add("badhost", "/badhost", ingress.AnnotationBasicAuthSecret, "users")
	addRule(o.Ingresses[len(o.Ingresses)-1], "web..test", "/ web")
	add("resource", "/resource", ingress.AnnotationBasicAuthSecret, "users")
	addRule(o.Ingresses[len(o.Ingresses)-1], "web.test", "/bucket web").Spec.Rules[1].HTTP.Paths[0].Backend.Service = nil
	add("badtls", "/badtls", ingress.AnnotationBasicAuthSecret, "users")
	withTLS(o.Ingresses[len(o.Ingresses)-1], "no name", "other.test")
	add("ignored", "/ignored", "nginx.org/lb-method", "least_conn", "nginx.com/slow-start", "30s", "example.com/whatever", "x")
	server := nginxtest.New(t)
	problems := server.Serve(o)

	want := map[string]string{
		"nosecret": ingress.ReasonAuth, "empty": ingress.ReasonAuth, "broken": ingress.ReasonAuth, "badname": ingress.ReasonInvalid,
		"policies": ingress.ReasonClosed, "snippets": ingress.ReasonClosed, "authurl": ingress.ReasonClosed,
		"badlist":   ingress.ReasonInvalid,
		"emptylist": ingress.ReasonInvalid, "loadbalancer": ingress.ReasonClosed,
		"badpath": ingress.ReasonInvalid, "badhost": ingress.ReasonInvalid, "resource": ingress.ReasonInvalid, "badtls": ingress.ReasonInvalid,
		"ignored": ingress.ReasonIgnored,
	}
	for _, p := range problems {
		if want[p.Ingress.Name] != p.Reason {
			t.Errorf("%s: %s: %s", p.Ingress.Name, p.Reason, p.Message)
		}
		delete(want, p.Ingress.Name)
		if p.Reason == ingress.ReasonIgnored && (!strings.Contains(p.Message, "nginx.com/slow-start, nginx.org/lb-method") || strings.Contains(p.Message, "example.com")) {
			t.Errorf("%s", p.Message)
		}
	}
	if len(want) > 0 {
		t.Errorf("nothing was said of %v", want)
	}
	for _, test := range []struct {
		path, user string
		want       int
	}{
		{"/", "", 200},
		{"/auth", "", 401}, {"/auth/below", "admin:wrong", 401}, {"/auth/below", "admin:secret", 200}, {"/authority", "", 200},
		{"/nosecret", "admin:secret", 503}, {"/empty", "", 503}, {"/broken", "", 503}, {"/badname/x", "", 503},
		{"/policies", "", 503}, {"/snippets/x", "", 503}, {"/authurl", "", 503},
		{"/here", "", 200}, {"/elsewhere", "", 403}, {"/denied", "", 403}, {"/badlist", "", 503},
		{"/limited", "", 200}, {"/limited", "", 429},
		{"/burst", "", 200}, {"/burst", "", 200}, {"/burst", "", 503},
		{"/badpath", "admin:secret", 503}, {"/badhost", "", 503}, {"/resource", "", 503}, {"/bucket", "", 503}, {"/badtls", "", 503},
		{"/unset", "", 200}, {"/emptylist", "", 503}, {"/loadbalancer", "", 503},
		{"/ignored", "", 200},
	} {
		r := request(t, "http://"+server.HTTP()+test.path, "web.test")
		if user, password, ok := strings.Cut(test.user, ":"); ok {
			r.SetBasicAuth(user, password)
		}
		response, err := plainClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s as %q: %s, want %d", test.path, test.user, response.Status, test.want)
		}
		if realm := response.Header.Get("WWW-Authenticate"); response.StatusCode == 401 && realm != `Basic realm="Shop"` {
			t.Errorf("WWW-Authenticate: %s", realm)
		}
	}
}

// TestHSTS checks that browsers are told to come back over TLS, only over TLS.
func TestHSTS(t *testing.T) {
	ca := newAuthority(t)
	var o ingress.Objects
	addService(&o, "web", namedBackend(t, "web"))
	o.Secrets = []*corev1.Secret{ca.secret("tls", "web.test", "both.test")}
	web := annotate(withTLS(newIngress("web", "web.test", "/ web"), "tls"), "nginx.org/hsts", "true")
	both := annotate(withTLS(newIngress("both", "both.test", "/ web"), "tls"), "nginx.org/hsts", "true")
	annotate(annotate(both, "nginx.org/hsts-max-age", "60"), "nginx.org/hsts-include-subdomains", "true")
	annotate(annotate(both, ingress.AnnotationSSLRedirect, "false"), "nginx.org/proxy-hide-headers", "X-Hidden")
	o.Ingresses = append(o.Ingresses, web, both)
	server := nginxtest.New(t)
	if problems := server.Serve(o); len(problems) > 0 {
		t.Fatal(problems)
	}
	for host, want := range map[string]string{"web.test": "max-age=2592000; preload", "both.test": "max-age=60; includeSubDomains; preload"} {
		response, err := httpsClient(t, ca, host).Do(request(t, "https://"+server.HTTPS()+"/", host))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Strict-Transport-Security"); got != want || response.StatusCode != 200 {
			t.Errorf("%s: %s, got %q, want %q", host, response.Status, got, want)
		}
		response, _ = get(t, "http://"+server.HTTP()+"/", host)
		if got := response.Header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("http://%s: %q", host, got)
		}
	}
}

// TestChallenges checks that a certificate can still be ordered where there is
// none: the challenge is not redirected to a handshake that is refused.
func TestChallenges(t *testing.T) {
	ca := newAuthority(t)
	var o ingress.Objects
	addService(&o, "web", namedBackend(t, "web"))
	addService(&o, "solver", namedBackend(t, "solver"))
	o.Secrets = []*corev1.Secret{ca.secret("tls", "served.test")}
	const path = "/.well-known/acme-challenge/token"
	o.Ingresses = append(o.Ingresses,
		withTLS(newIngress("own", "own.test", "/ web"), "missing"),
		withTLS(newIngress("solved", "solved.test", "/ web", "="+path+" solver"), "missing"),
		withTLS(newIngress("served", "served.test", "/ web"), "tls"),
		withTLS(newIngress("renewed", "renewed.test", "/ web", "="+path+" solver"), "missing"),
		newIngress("solver", "renewed.test", "=/.well-known/acme-challenge/other solver"),
	)
	server := nginxtest.New(t)
	server.Serve(o)
	for _, test := range []struct{ host, path, want string }{
		{"own.test", path, "200 web " + path},
		{"own.test", "/", "301 "},
		{"solved.test", path, "200 solver " + path},
		{"solved.test", "/.well-known/acme-challenge/else", "200 web /.well-known/acme-challenge/else"},
		{"served.test", path, "301 "},
		{"renewed.test", "/.well-known/acme-challenge/other", "200 solver /.well-known/acme-challenge/other"},
		{"renewed.test", "/other", "301 "},
	} {
		response, body := get(t, "http://"+server.HTTP()+test.path, test.host)
		if response.StatusCode != 200 {
			body = ""
		}
		if got := fmt.Sprint(response.StatusCode, " ", body); got != test.want {
			t.Errorf("%s%s: got %q, want %q", test.host, test.path, got, test.want)
		}
	}
}

// TestSaid checks what is served and yet said.
func TestSaid(t *testing.T) {
	ca := newAuthority(t)
	var o ingress.Objects
	addService(&o, "web", "10.0.0.1:80")
	o.Secrets = []*corev1.Secret{ca.secret("tls", "web.test")}
	o.Now = time.Now().Add(2 * time.Hour) // the authority's certificates last for one
	o.Ingresses = append(o.Ingresses,
		withTLS(newIngress("expired", "web.test", "/ web"), "tls"),
		newIngress("literal", "literal.test", "/api/.* web", "/(a) web", "/v1$ web", "/* web"),
		newIngress("twice", "twice.test", "/tea web", "/tea/ web", "/tea web"),
		newIngress("torn", "torn.test", "/tea web", "/tea/ other"),
		newIngress("meant", "meant.test", "/a.b web", "/$x/y web", "/a*b web"),
		annotate(newIngress("regex", "regex.test", "/api/.* web"), ingress.AnnotationPathRegex, "case_sensitive"),
	)
	model, problems := ingress.Build(o, goldenSettings())
	if got := fmt.Sprint(summary(problems)); got != "[literal PathTakenLiterally literal PathTakenLiterally literal PathTakenLiterally literal PathTakenLiterally torn Conflict expired CertificateExpired]" {
		t.Errorf("problems %s", got)
	}
	for _, h := range model.Hosts {
		if h.Name == "web.test" && h.Certificate == "" {
			t.Error("an expired certificate is not served")
		}
	}
	if len(model.Hosts) != 7 {
		t.Errorf("%d hosts", len(model.Hosts))
	}
}
