package ingress

import (
	"fmt"
	"strings"
	"testing"
)

// TestValues follows the values that F5's documentation and NGINX's page on
// syntax give, and their neighbours.
func TestValues(t *testing.T) {
	redirectTo := func(value string) (string, error) {
		a := annotations{}
		err := parseRedirect(301)(&a, value, nil)
		return a.redirect, err
	}
	text := func(values []string, err error) (string, error) { return strings.Join(values, " "), err }
	for _, test := range []struct {
		read        func(string) (string, error)
		value, want string // "" is an error
	}{
		{parseOffset, "104857600", "100m"},
		{parseOffset, "0", "0"},
		{parseOffset, "1m", "1m"},
		{parseOffset, " 8M ", "8m"},
		{parseOffset, "2g", "2048m"},
		{parseOffset, "1000", "1000"},
		{parseOffset, "1024g", "1048576m"},
		{parseOffset, "1025g", ""},
		{parseOffset, "99999999999999999999", ""},
		{parseOffset, "1mb", ""},
		{parseOffset, "-1", ""},
		{parseOffset, "1.5m", ""},
		{parseOffset, "", ""},
		{parseOffset, "1m; }", ""},
		{parseSize, "4k", "4k"},
		{parseSize, "8192", "8k"},
		{parseSize, "0", ""},
		{parseSize, "1g", ""},
		{parseTime, "90s", "90s"},
		{parseTime, "90", "90s"},
		{parseTime, "1h30m", "5400s"},
		{parseTime, "1h 30m", "5400s"},
		{parseTime, "1d", "86400s"},
		{parseTime, "1w", "604800s"},
		{parseTime, "500ms", "500ms"},
		{parseTime, "1s500ms", "1500ms"},
		{parseTime, "0", "0s"},
		{parseTime, "30m1h", ""},
		{parseTime, "1y", ""},
		{parseTime, "1s\n}", ""},
		{parseTime, "", ""},
		{parseTime, " ", ""},
		{parseTimeout, "0", ""},
		{parseTimeout, "1m", "60s"},
		{parseSwitch, "true", "on"},
		{parseSwitch, "False", "off"},
		{parseSwitch, "on", "on"},
		{parseSwitch, "yes", ""},
		{parseRate, "10r/s", "10r/s"},
		{parseRate, "300r/m", "300r/m"},
		{parseRate, "0r/s", ""},
		{parseRate, "10", ""},
		{parseLimitKey, "${binary_remote_addr}", "${binary_remote_addr}"},
		{parseLimitKey, "$remote_addr:$http_x_key", "$remote_addr:$http_x_key"},
		{parseLimitKey, "$secret", ""},
		{parseLimitKey, "${uri", ""},
		{parseLimitKey, "$uri}", ""},
		{parseLimitKey, "constant", ""},
		{parseZoneSize, "10m", "10m"},
		{parseZoneSize, "1k", ""},
		{parseZoneSize, "1g", ""},
		{parseAppRoot, "/coffee", "/coffee"},
		{parseAppRoot, "/", ""},
		{parseAppRoot, "//evil.example", ""},
		{parseAppRoot, "/$host", ""},
		{parseTarget, "/$2", "/$2"},
		{parseTarget, "/a/$1/b$9", "/a/$1/b$9"},
		{parseTarget, "/$0", ""},
		{parseTarget, "/$host", ""},
		{parseTarget, "/${1}", ""},
		{parseTarget, "$1", ""},
		{parseTarget, "http://other.test/", ""},
		{parseTarget, "/a b", ""},
		{parseTarget, "/a?b=c", ""},
		{parseTarget, "/a;}", ""},
		{redirectTo, "https://new.test", "https://new.test"},
		{redirectTo, "http://new.test:8080/a?b=c%20d#e$request_uri", "http://new.test:8080/a?b=c%20d#e$request_uri"},
		{redirectTo, "/login", "/login"},
		{redirectTo, "https://new.test/$uri", ""},
		{redirectTo, "https://$host/", ""},
		{redirectTo, "//new.test", ""},
		{redirectTo, "javascript:alert(1)", ""},
		{redirectTo, "https://new.test/\r\nX: y", ""},
		{redirectTo, "https://new.test/;}\"", ""},
		{parseText, `Cafe "App"`, ""},
		{parseText, "Cafe App", "Cafe App"},
		{func(v string) (string, error) { return text(parseNetworks(v)) }, "10.1.2.3/8, 2001:db8::1", "10.0.0.0/8 2001:db8::1"},
		{func(v string) (string, error) { return text(parseNetworks(v)) }, "10.0.0.0/33", ""},
		{func(v string) (string, error) { return text(parseNetworks(v)) }, "", ""},
		{func(v string) (string, error) { return text(parseNetworks(v)) }, "all", ""},
		{cookieAttribute, "expires=1h", "Max-Age=3600"},
		{cookieAttribute, "expires=max", "Max-Age=315360000"},
		{cookieAttribute, "expires=500ms", ""},
		{cookieAttribute, "Path=/tea", "Path=/tea"},
		{cookieAttribute, "samesite=strict", "SameSite=strict"},
		{cookieAttribute, "samesite=x", ""},
		{cookieAttribute, "path=/;x", ""},
		{cookieAttribute, "httponly", "HttpOnly"},
		{cookieAttribute, "evil", ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/v[0-9]+/[a-z]{2,3}`, "ok"},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/(a+)+$`, ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/(a|b*)*`, ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/(a`, ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/(?=x)`, ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/(?:a|b)x`, "ok"},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/(?P<routed_host>[a-z]+)`, ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/a(b(?<sender>x))`, ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `/(a)\1`, ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, `tea`, ""},
		{func(v string) (string, error) { return "ok", parseExpression(v) }, "/a\n", ""},
	} {
		got, err := test.read(test.value)
		if err != nil {
			got = ""
		}
		if got != test.want {
			t.Errorf("%q: got %q, %v, want %q", test.value, got, err, test.want)
		}
	}
}

// TestServiceLists checks lists as charts join them.
func TestServiceLists(t *testing.T) {
	services := map[string]bool{"tea": true, "coffee": true}
	for _, test := range []struct {
		name, value string
		good        bool
	}{
		{AnnotationSSLServices, "tea,coffee", true},
		{AnnotationSSLServices, " tea , \n coffee,", true},
		{AnnotationSSLServices, "tea,cocoa", false},
		{"nginx.org/websocket-services", "tea,cocoa", true}, // nothing to do in any case
		{AnnotationRewrites, "serviceName=tea rewrite=/;", true},
		{AnnotationRewrites, "serviceName=tea rewrite=/; serviceName=coffee rewrite=/beans/ ;", true},
		{AnnotationRewrites, "serviceName=tea rewrite=/;;", false},
		{AnnotationStickyServices, "serviceName=tea srv_id;", true},
	} {
		for _, known := range parsers {
			if known.name != test.name {
				continue
			}
			if err := known.parse(&annotations{}, test.value, services); (err == nil) != test.good {
				t.Errorf("%s: %q: %v, want %v", test.name, test.value, err, test.good)
			}
		}
	}
}

// TestBuffers checks that the sizes of buffers fit together whatever is asked:
// NGINX refuses a whole configuration in which they do not.
func TestBuffers(t *testing.T) {
	sizes := []int64{0, 1 << 10, 8 << 10, 32 << 10, 1 << 20, 16 << 20}
	for _, first := range sizes {
		for _, busy := range sizes {
			for _, rest := range [][2]int64{{}, {2, 1 << 10}, {8, 4 << 10}, {2, 1 << 20}} {
				b := buffers{first: first, busy: busy, rest: rest, file: busy / 2}
				all := map[string]int64{}
				number := int64(0)
				for _, d := range b.directives(16 << 10) {
					n, err := parseBytes(d.Parameters[len(d.Parameters)-1])
					if err != nil {
						t.Fatal(err)
					}
					all[d.Name] = n
					if len(d.Parameters) == 2 {
						if _, err := fmt.Sscan(d.Parameters[0], &number); err != nil {
							t.Fatal(err)
						}
					}
				}
				if len(all) == 0 {
					continue
				}
				most := (number - 1) * all["proxy_buffers"]
				if b := all["proxy_busy_buffers_size"]; b > most || b < all["proxy_buffer_size"] || b < all["proxy_buffers"] {
					t.Errorf("%+v gives %v with %d buffers", b, all, number)
				}
				if file := all["proxy_max_temp_file_size"]; file != 0 && file < max(all["proxy_buffer_size"], all["proxy_buffers"]) {
					t.Errorf("%+v gives %v", b, all)
				}
			}
		}
	}
}

// TestForeign checks of which annotations nothing is said.
func TestForeign(t *testing.T) {
	for _, name := range []string{
		"kubernetes.io/ingress.class", "kubernetes.io/tls-acme", "cert-manager.io/cluster-issuer", "acme.cert-manager.io/http01-edit-in-place",
		"external-dns.alpha.kubernetes.io/hostname", "meta.helm.sh/release-name", "kubectl.kubernetes.io/last-applied-configuration",
		"field.cattle.io/publicEndpoints", "argocd.argoproj.io/sync-wave", "example.com/auth",
	} {
		if foreign(name) {
			t.Errorf("%s counts as a controller's", name)
		}
	}
}

// TestProtects checks which annotations close an Ingress that cannot be served
// with what they ask for.
func TestProtects(t *testing.T) {
	for name, want := range map[string]bool{
		"nginx.org/policies":                               true,
		"nginx.org/server-snippets":                        true,
		"nginx.org/location-snippets":                      true,
		"nginx.com/jwt-key":                                true,
		"appprotect.f5.com/app-protect-enable":             true,
		"appprotectdos.f5.com/app-protect-dos-resource":    true,
		"nginx.ingress.kubernetes.io/auth-url":             true,
		"nginx.ingress.kubernetes.io/auth-tls-secret":      true,
		"nginx.ingress.kubernetes.io/limit-rps":            true,
		"nginx.ingress.kubernetes.io/limit-whitelist":      true,
		"nginx.ingress.kubernetes.io/enable-modsecurity":   true,
		"ingress.kubernetes.io/auth-type":                  true,
		"ingress.kubernetes.io/whitelist-source-range":     true,
		"haproxy.org/allow-list":                           true,
		"traefik.ingress.kubernetes.io/router.middlewares": true,
		"nginx.org/limit-req-of-tomorrow":                  true,
		"nginx.ingress.kubernetes.io/Auth-URL":             true,
		"alb.ingress.kubernetes.io/auth-type":              true,
		"alb.ingress.kubernetes.io/inbound-cidrs":          true,
		"alb.ingress.kubernetes.io/security-groups":        true,
		"alb.ingress.kubernetes.io/wafv2-acl-arn":          true,
		"appgw.ingress.kubernetes.io/waf-policy-for-path":  true,
		"ingress.pomerium.io/policy":                       true,
		"k8s.apisix.apache.org/auth-type":                  true,
		"zalando.org/skipper-filter":                       true,
		"haproxy.router.openshift.io/ip_whitelist":         true,
		"traefik.ingress.kubernetes.io/router.tls.options": true,
		"haproxy-ingress.github.io/config-backend":         true,
		"haproxy-ingress.github.io/oauth":                  true,
		"haproxy.org/route-acl":                            true,
		"konghq.com/methods":                               true,
		"alb.ingress.kubernetes.io/listen-ports":           false,
		"alb.ingress.kubernetes.io/target-type":            false,
		"traefik.ingress.kubernetes.io/router.tls":         false,
		"traefik.ingress.kubernetes.io/router.entrypoints": false,
		"nginx.ingress.kubernetes.io/cors-allow-methods":   false,
		"nginx.ingress.kubernetes.io/configuration":        false,
		"konghq.com/strip-path":                            false,
		"kubernetes.io/ingress.allow-http":                 false,
		"nginx.org/lb-method":                              false,
		"nginx.org/keepalive":                              false,
		"nginx.org/use-cluster-ip":                         false,
		"nginx.com/health-checks":                          false,
		"nginx.ingress.kubernetes.io/enable-cors":          false,
		"nginx.ingress.kubernetes.io/cors-allow-origin":    false,
		"nginx.ingress.kubernetes.io/rewrite-target":       false,
		"nginx.ingress.kubernetes.io/use-gzip":             false,
	} {
		if got := protects(name, "x"); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		for _, off := range []string{"false", "0", " Off "} {
			if protects(name, off) {
				t.Errorf("%s closes though it is %q", name, off)
			}
		}
		if !foreign(name) {
			t.Errorf("nothing is said of %s", name)
		}
	}
}
