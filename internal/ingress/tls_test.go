package ingress_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/ingress"
	"berth/internal/ingress/nginxtest"
)

// httpsClient trusts an authority and reaches every host at one address.
func httpsClient(t *testing.T, ca *authority, sni string) *http.Client {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: ca.pool(), ServerName: sni},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: plainClient.CheckRedirect}
}

func request(t *testing.T, url, host string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	return r
}

// TestTLS asks a real NGINX for certificates by SNI.
func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	var o ingress.Objects
	addService(&o, "a", namedBackend(t, "a"))
	addService(&o, "b", namedBackend(t, "b"))
	o.Secrets = []*corev1.Secret{
		ca.secret("one", "one.example"), ca.secret("wild", "*.wild.example"),
		{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "broken"}, Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{"tls.crt": []byte("no certificate"), "tls.key": []byte("no key")}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "opaque"}, Type: corev1.SecretTypeOpaque},
	}
	o.Ingresses = append(o.Ingresses,
		withTLS(newIngress("one", "one.example", "/ a"), "one", "one.example"),
		withTLS(newIngress("wild", "*.wild.example", "/ a"), "wild", "*.wild.example"),
		withTLS(newIngress("covered", "b.wild.example", "/ b"), "wild", "*.wild.example"),
		newIngress("plain", "plain.wild.example", "/ b"),
		withTLS(newIngress("broken", "broken.wild.example", "/ b"), "broken", "broken.wild.example"),
		withTLS(newIngress("opaque", "opaque.example", "/ b"), "opaque"),
		annotate(withTLS(newIngress("open", "open.wild.example", "/ a"), "wild"), ingress.AnnotationSSLRedirectLegacy, "false"),
	)
	// The name itself goes before a wildcard.
	both := withTLS(withTLS(newIngress("both", "one.wild.example", "/ a"), "missing", "*.wild.example"), "one", "one.wild.example", "www.one.example")
	// Without rules, the names are those of its certificates.
	unruled := withTLS(newIngress("unruled", ""), "two", "two.example")
	unruled.Spec.Rules, unruled.Spec.DefaultBackend = nil, new(backend("b"))
	o.Secrets[0] = ca.secret("one", "one.example", "one.wild.example")
	o.Secrets = append(o.Secrets, ca.secret("two", "two.example"))
	o.Ingresses = append(o.Ingresses, both, unruled)
	server := nginxtest.New(t)
	problems := server.Serve(o)
	if got := fmt.Sprint(summary(problems)); got != "[both CertificateUnused broken InvalidSecret opaque InvalidSecret]" {
		t.Errorf("problems %s", got)
	}

	for _, test := range []struct {
		sni, host, want string
	}{
		{"one.example", "one.example", "a /"},
		{"x.wild.example", "x.wild.example", "a /"},
		{"b.wild.example", "b.wild.example", "b /"},
		{"open.wild.example", "open.wild.example", "a /"},
		{"one.wild.example", "one.wild.example", "a /"},
		{"two.example", "two.example", "b /"},
		{"unknown.example", "unknown.example", "remote error: tls: unrecognized name"},
		{"plain.wild.example", "plain.wild.example", "remote error: tls: unrecognized name"},
		{"broken.wild.example", "broken.wild.example", "remote error: tls: unrecognized name"},
		{"opaque.example", "opaque.example", "remote error: tls: unrecognized name"},
		{"x.wild.example", "unknown.example", "421"},
		{"x.wild.example", "plain.wild.example", "421"},
	} {
		client := httpsClient(t, ca, test.sni)
		response, err := client.Do(request(t, "https://"+server.HTTPS()+"/", test.host))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			got = string(body)
			if response.ProtoMajor != 2 {
				t.Errorf("%s: %s, want HTTP/2", test.sni, response.Proto)
			}
			if response.StatusCode != http.StatusOK {
				got = fmt.Sprint(response.StatusCode)
			}
		}
		if !strings.HasSuffix(got, test.want) {
			t.Errorf("SNI %s, host %s: got %q, want %q", test.sni, test.host, got, test.want)
		}
	}

	_, port, _ := strings.Cut(server.HTTPS(), ":")
	for _, test := range []struct{ host, want string }{
		{"one.example", "301 https://one.example:" + port + "/a?b=c"},
		{"one.example:8080", "301 https://one.example:" + port + "/a?b=c"},
		{"broken.wild.example", "301 https://broken.wild.example:" + port + "/a?b=c"},
		{"open.wild.example", "200 "},
		{"plain.wild.example", "200 "},
	} {
		response, _ := get(t, "http://"+server.HTTP()+"/a?b=c", test.host)
		if got := fmt.Sprint(response.StatusCode, " ", response.Header.Get("Location")); got != test.want {
			t.Errorf("http://%s: got %q, want %q", test.host, got, test.want)
		}
	}

	t.Run("old protocols are refused", func(t *testing.T) {
		_, err := tls.Dial("tcp", server.HTTPS(), &tls.Config{
			RootCAs: ca.pool(), ServerName: "one.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
		})
		if err == nil {
			t.Error("NGINX speaks TLS 1.1")
		}
	})
}

func summary(problems []ingress.Problem) (all []string) {
	for _, p := range problems {
		all = append(all, p.Ingress.Name+" "+p.Reason)
	}
	return all
}

// TestRedirects covers the redirects that F5's annotations ask for.
func TestRedirects(t *testing.T) {
	ca := newAuthority(t)
	var o ingress.Objects
	addService(&o, "a", namedBackend(t, "a"))
	o.Secrets = []*corev1.Secret{ca.secret("tls", "code.example", "forwarded.example")}
	o.Ingresses = append(o.Ingresses,
		annotate(withTLS(newIngress("code", "code.example", "/ a"), "tls"), ingress.AnnotationRedirectCode, "308"),
		annotate(newIngress("forwarded", "forwarded.example", "/ a"), ingress.AnnotationRedirectToHTTPS, "true"),
	)
	server := nginxtest.New(t)
	server.Settings.PublicHTTPSPort = 443
	if problems := server.Serve(o); len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, test := range []struct{ host, proto, want string }{
		{"code.example", "", "308 https://code.example/x"},
		{"forwarded.example", "", "200 "},
		{"forwarded.example", "https", "200 "},
		{"forwarded.example", "http", "301 https://forwarded.example/x"},
	} {
		r := request(t, "http://"+server.HTTP()+"/x", test.host)
		r.Header.Set("X-Forwarded-Proto", test.proto)
		response, err := plainClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := fmt.Sprint(response.StatusCode, " ", response.Header.Get("Location")); got != test.want {
			t.Errorf("%s with X-Forwarded-Proto %q: got %q, want %q", test.host, test.proto, got, test.want)
		}
	}
}

// TestUpstreamTLS checks that an upstream is spoken to only if its certificate
// carries its name and was signed by the authority that the Ingress names.
func TestUpstreamTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	start := func(ca *authority, name string) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "sni ", r.TLS.ServerName)
		}))
		server.TLS = ca.serverConfig(name)
		server.StartTLS()
		t.Cleanup(server.Close)
		return address(server)
	}
	var o ingress.Objects
	addService(&o, "good", start(ours, "good.shop.svc"))
	addService(&o, "misnamed", start(ours, "elsewhere.shop.svc"))
	addService(&o, "unsigned", start(theirs, "unsigned.shop.svc"))
	addService(&o, "plain", namedBackend(t, "plain"))
	o.Secrets = []*corev1.Secret{ours.trustSecret("ca")}
	all := annotate(newIngress("all", "all.example", "/good good", "/misnamed misnamed", "/unsigned unsigned", "/plain plain"),
		ingress.AnnotationSSLServices, "good, misnamed,unsigned")
	annotate(all, ingress.AnnotationTrustedSecret, "ca")
	system := annotate(newIngress("system", "system.example", "/ good"), ingress.AnnotationSSLServices, "good")
	missing := annotate(newIngress("missing", "missing.example", "/ good"), ingress.AnnotationSSLServices, "good")
	annotate(missing, ingress.AnnotationTrustedSecret, "no-such-secret")
	o.Ingresses = append(o.Ingresses, all, system, missing)
	server := nginxtest.New(t)
	// A bundle that does not hold our authority stands for the system's.
	server.Settings.TrustedCA = writeTemp(t, theirs.pem())
	if got := fmt.Sprint(summary(server.Serve(o))); got != "[missing InvalidUpstreamCA]" {
		t.Errorf("problems %s", got)
	}
	for _, test := range []struct{ host, path, want string }{
		{"all.example", "/good", "200 sni good.shop.svc"},
		{"all.example", "/misnamed", "502"},
		{"all.example", "/unsigned", "502"},
		{"all.example", "/plain", "200 plain /plain"},
		{"system.example", "/", "502"},
		{"missing.example", "/", "503"},
	} {
		response, body := get(t, "http://"+server.HTTP()+test.path, test.host)
		got := fmt.Sprint(response.StatusCode, " ", body)
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s%s: got %q, want %q", test.host, test.path, got, test.want)
		}
	}
}
