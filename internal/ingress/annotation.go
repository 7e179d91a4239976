package ingress

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The annotations have the meaning that F5's NGINX Ingress Controller gives
// them, https://docs.nginx.com/nginx-ingress-controller/configuration/ingress-resources/advanced-configuration-with-annotations/
const (
	AnnotationRewrites          = "nginx.org/rewrites"
	AnnotationSSLServices       = "nginx.org/ssl-services"
	AnnotationRedirectToHTTPS   = "nginx.org/redirect-to-https"
	AnnotationSSLRedirect       = "nginx.org/ssl-redirect"
	AnnotationSSLRedirectLegacy = "ingress.kubernetes.io/ssl-redirect"
	AnnotationRedirectCode      = "nginx.org/http-redirect-code"
	AnnotationMaxBodySize       = "nginx.org/client-max-body-size"
	AnnotationConnectTimeout    = "nginx.org/proxy-connect-timeout"
	AnnotationReadTimeout       = "nginx.org/proxy-read-timeout"
	AnnotationSendTimeout       = "nginx.org/proxy-send-timeout"

	// AnnotationTrustedSecret is Berth's own: F5 verifies TLS upstreams by a
	// policy of its VirtualServer resources only, never for an Ingress. It
	// names the Secret, in the Ingress's namespace, whose ca.crt signed the
	// certificates of the services in AnnotationSSLServices.
	AnnotationTrustedSecret = "berth.local/ssl-trusted-secret"
)

// annotations is what an Ingress's annotations say.
type annotations struct {
	rewrites      map[string]string // by Service name
	sslServices   map[string]bool
	trustedSecret string

	sslRedirect       bool
	redirectForwarded bool
	redirectCode      int

	maxBodySize, connectTimeout, readTimeout, sendTimeout string
}

var (
	// sizes and timeouts as NGINX reads them, bounded so that they cannot
	// overflow; http://nginx.org/en/docs/syntax.html
	sizePattern    = regexp.MustCompile(`^[0-9]{1,6}[kKmMgG]?$`)
	timeoutPattern = regexp.MustCompile(`^[1-9][0-9]{0,6}(ms|s|m|h)?$`)

	// rewritePattern is a path of RFC 3986 without "$", which would name a
	// variable, and ";", which separates rewrites.
	rewritePattern = regexp.MustCompile(`^/([A-Za-z0-9\-._~!&'()*+,=:@/]|%[0-9A-Fa-f]{2})*$`)
)

func parseAnnotations(ing *networkingv1.Ingress) (annotations, error) {
	a := annotations{sslRedirect: true, redirectCode: 301}
	services := backendNames(ing)
	parsers := []struct {
		name  string
		parse func(string) error
	}{
		{AnnotationRewrites, func(v string) (err error) { a.rewrites, err = parseRewrites(v, services); return }},
		{AnnotationSSLServices, func(v string) (err error) { a.sslServices, err = parseServices(v, services); return }},
		{AnnotationTrustedSecret, func(v string) error { a.trustedSecret = v; return checkSecretName(v) }},
		{AnnotationRedirectToHTTPS, func(v string) (err error) { a.redirectForwarded, err = strconv.ParseBool(v); return }},
		{AnnotationSSLRedirectLegacy, func(v string) (err error) { a.sslRedirect, err = strconv.ParseBool(v); return }},
		{AnnotationSSLRedirect, func(v string) (err error) { a.sslRedirect, err = strconv.ParseBool(v); return }},
		{AnnotationRedirectCode, func(v string) (err error) { a.redirectCode, err = parseRedirectCode(v); return }},
		{AnnotationMaxBodySize, matching(sizePattern, &a.maxBodySize)},
		{AnnotationConnectTimeout, matching(timeoutPattern, &a.connectTimeout)},
		{AnnotationReadTimeout, matching(timeoutPattern, &a.readTimeout)},
		{AnnotationSendTimeout, matching(timeoutPattern, &a.sendTimeout)},
	}
	for _, p := range parsers {
		value, ok := ing.Annotations[p.name]
		if !ok {
			continue
		}
		if err := p.parse(value); err != nil {
			return annotations{}, fmt.Errorf("annotation %s: %w", p.name, err)
		}
	}
	return a, nil
}

func matching(pattern *regexp.Regexp, into *string) func(string) error {
	return func(value string) error {
		if !pattern.MatchString(value) {
			return fmt.Errorf("%q does not match %s", value, pattern)
		}
		*into = value
		return nil
	}
}

// parseRewrites reads "serviceName=tea rewrite=/;serviceName=coffee rewrite=/beans/".
func parseRewrites(value string, services map[string]bool) (map[string]string, error) {
	rewrites := map[string]string{}
	for part := range strings.SplitSeq(value, ";") {
		name, target, ok := strings.Cut(strings.TrimSpace(part), " ")
		name, isName := strings.CutPrefix(name, "serviceName=")
		target, isTarget := strings.CutPrefix(strings.TrimSpace(target), "rewrite=")
		if !ok || !isName || !isTarget {
			return nil, fmt.Errorf("%q: want serviceName=SERVICE rewrite=PATH", part)
		}
		if !services[name] {
			return nil, fmt.Errorf("service %q is not a backend of this Ingress", name)
		}
		if !rewritePattern.MatchString(target) || len(target) > maxPathLength {
			return nil, fmt.Errorf("rewrite %q: want a path of URL characters, without $", target)
		}
		rewrites[name] = target
	}
	return rewrites, nil
}

// parseServices reads "service1,service2".
func parseServices(value string, services map[string]bool) (map[string]bool, error) {
	chosen := map[string]bool{}
	for part := range strings.SplitSeq(value, ",") {
		name := strings.TrimSpace(part)
		if !services[name] {
			return nil, fmt.Errorf("service %q is not a backend of this Ingress", name)
		}
		chosen[name] = true
	}
	return chosen, nil
}

func parseRedirectCode(value string) (int, error) {
	switch value {
	case "301", "302", "307", "308":
		return strconv.Atoi(value)
	}
	return 0, fmt.Errorf("%q: want 301, 302, 307 or 308", value)
}

func checkSecretName(name string) error {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("secret %q: %s", name, problems[0])
	}
	return nil
}

// backendNames returns the names of the Services that an Ingress leads to.
func backendNames(ing *networkingv1.Ingress) map[string]bool {
	names := map[string]bool{}
	add := func(b *networkingv1.IngressBackend) {
		if b != nil && b.Service != nil {
			names[b.Service.Name] = true
		}
	}
	add(ing.Spec.DefaultBackend)
	for _, rule := range ing.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			add(&path.Backend)
		}
	}
	return names
}
