package ingress

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The annotations have the meaning that F5's NGINX Ingress Controller gives
// them, https://docs.nginx.com/nginx-ingress-controller/configuration/ingress-resources/advanced-configuration-with-annotations/
const (
	AnnotationRewrites          = "nginx.org/rewrites"
	AnnotationSSLServices       = "nginx.org/ssl-services"
	AnnotationGRPCServices      = "nginx.org/grpc-services"
	AnnotationStickyServices    = "nginx.com/sticky-cookie-services"
	AnnotationRedirectToHTTPS   = "nginx.org/redirect-to-https"
	AnnotationSSLRedirect       = "nginx.org/ssl-redirect"
	AnnotationSSLRedirectLegacy = "ingress.kubernetes.io/ssl-redirect"
	AnnotationRedirectCode      = "nginx.org/http-redirect-code"
	AnnotationMaxBodySize       = "nginx.org/client-max-body-size"
	AnnotationReadTimeout       = "nginx.org/proxy-read-timeout"
	AnnotationBasicAuthSecret   = "nginx.org/basic-auth-secret"
	AnnotationPathRegex         = "nginx.org/path-regex"
	AnnotationLimitRate         = "nginx.org/limit-req-rate"

	annotationRewriteTarget = "nginx.ingress.kubernetes.io/rewrite-target"
	annotationForceRedirect = "nginx.ingress.kubernetes.io/force-ssl-redirect"

	// AnnotationTrustedSecret is Berth's own: F5 verifies TLS upstreams by a
	// policy of its VirtualServer resources only, never for an Ingress. It
	// names the Secret, in the Ingress's namespace, whose ca.crt signed the
	// certificates of the services in AnnotationSSLServices.
	AnnotationTrustedSecret = "berth.local/ssl-trusted-secret"
)

// annotations is what an Ingress's annotations say.
type annotations struct {
	rewrites                  map[string]string // by Service name
	sslServices, grpcServices map[string]bool
	sticky                    map[string]Sticky
	trustedSecret             string

	canary            bool // it only takes a part of another Ingress's requests
	sslRedirect       bool
	sslForced         bool
	redirectForwarded bool
	redirectCode      int
	appRoot           string
	redirect          string // where all paths are redirected to
	redirectStatus    int
	hsts              hsts

	authSecret, authRealm string
	allow, deny           []string // networks; with allow, all others are denied
	limit                 limit
	pathRegex             string
	useRegex              bool   // the community's controller's way: see foldPrefixes
	rewriteTarget         string // for paths that are regular expressions in its way

	buffers    buffers
	headers    [][2]string // that the upstream gets besides the usual ones
	directives []Directive

	ignored []string // annotations that have no effect here
	closed  []string // those of them that protect something elsewhere
}

// set gives a directive its parameters, instead of what it had before.
func (a *annotations) set(name string, parameters ...string) {
	d := Directive{name, parameters}
	if at := slices.IndexFunc(a.directives, func(d Directive) bool { return d.Name == name }); at >= 0 {
		a.directives[at] = d
		return
	}
	a.directives = append(a.directives, d)
}

// parser reads the value of one annotation. The services are those that the
// Ingress leads to.
type parser func(a *annotations, value string, services map[string]bool) error

// directive makes a parser for what is a directive of a location.
func directive(name string, read func(string) (string, error)) parser {
	return func(a *annotations, value string, _ map[string]bool) error {
		out, err := read(value)
		if err == nil {
			a.set(name, out)
		}
		return err
	}
}

// field makes a parser for what is kept in a field.
func field[T any](of func(*annotations) *T, read func(string) (T, error)) parser {
	return func(a *annotations, value string, _ map[string]bool) error {
		out, err := read(value)
		if err == nil {
			*of(a) = out
		}
		return err
	}
}

// taken accepts what holds here anyway.
func taken(read func(string) (string, error)) parser {
	return func(_ *annotations, value string, _ map[string]bool) error {
		_, err := read(value)
		return err
	}
}

func parseAnnotations(ing *networkingv1.Ingress) (annotations, error) {
	a := annotations{sslRedirect: true, redirectCode: 301, hsts: defaultHSTS, limit: defaultLimit}
	services := backendNames(ing)
	for _, known := range parsers {
		value, ok := ing.Annotations[known.name]
		// A chart writes an empty value where nothing is wanted. What protects has
		// to say whom from.
		if !ok || strings.TrimSpace(value) == "" && !protective.MatchString(known.name) {
			continue
		}
		if err := known.parse(&a, value, services); err != nil {
			return a, fmt.Errorf("annotation %s: %w", known.name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ing.Annotations)) {
		if parserNames[name] || !foreign(name) {
			continue
		}
		a.ignored = append(a.ignored, name)
		if protects(name, ing.Annotations[name]) {
			a.closed = append(a.closed, name)
		}
	}
	if a.sslForced && len(ing.Spec.TLS) == 0 {
		a.ignored = append(a.ignored, annotationForceRedirect) // there is nowhere to redirect to
	}
	return a, a.check()
}

// check compares annotations with each other.
func (a *annotations) check() error {
	if a.authRealm != "" && a.authSecret == "" {
		return fmt.Errorf("annotation nginx.org/basic-auth-realm: %s is missing", AnnotationBasicAuthSecret)
	}
	if a.limit.rate == "" && a.limit != defaultLimit {
		return fmt.Errorf("annotations nginx.org/limit-req-…: %s is missing", AnnotationLimitRate)
	}
	if a.pathRegex != "" && a.pathRegex != "exact" && len(a.rewrites) > 0 {
		return fmt.Errorf("annotation %s: paths that are regular expressions cannot be rewritten", AnnotationRewrites)
	}
	if (a.rewriteTarget != "" || a.useRegex) && len(a.rewrites) > 0 {
		return fmt.Errorf("annotation %s: want %s instead, beside others of its controller", AnnotationRewrites, annotationRewriteTarget)
	}
	for name := range a.grpcServices {
		if a.rewrites[name] != "" {
			return fmt.Errorf("annotation %s: gRPC service %q cannot have its path rewritten", AnnotationRewrites, name)
		}
	}
	return nil
}

// match says how a path is compared that is written in a rule.
func (a *annotations) match(path string, exact bool) Match {
	switch {
	case exact || a.pathRegex == "exact":
		return Exact
	case a.pathRegex == "case_sensitive":
		return Regex
	case a.pathRegex == "case_insensitive" || a.folds(path):
		return RegexFold
	}
	return Prefix
}

// folds reports whether the community's controller takes a path for a regular
// expression: where it is told so, and where it rewrites it.
func (a *annotations) folds(path string) bool {
	rewritten := a.rewriteTarget != "" && a.rewriteTarget != path
	return rewritten || a.useRegex && path != "/"
}

// controllers are the domains of annotations that ask an ingress controller for
// something, besides those with a label "ingress", such as
// alb.ingress.kubernetes.io. What is not honoured of them is said.
var controllers = []string{
	"nginx.org", "nginx.com", "nsm.nginx.com", "appprotect.f5.com", "appprotectdos.f5.com", "cis.f5.com", "virtual-server.f5.com", "berth.local",
	"haproxy.org", "haproxy-ingress.github.io", "haproxy.router.openshift.io", "konghq.com", "projectcontour.io", "getambassador.io",
	"k8s.apisix.apache.org", "zalando.org", "networking.gke.io", "higress.io",
}

func foreign(annotation string) bool {
	domain, name, _ := strings.Cut(annotation, "/")
	return slices.Contains(controllers, domain) || slices.Contains(strings.Split(domain, "."), "ingress") ||
		domain == "kubernetes.io" && strings.HasPrefix(name, "ingress.") && name != "ingress.class"
}

// protective are words in the names of annotations that keep somebody out. To
// serve an application without what it relies on is worse than not to serve it,
// so an unknown name with one of them counts, too.
var protective = regexp.MustCompile(`auth|jwt|oidc|login|(allow|deny)-?list|whitelist|blacklist|source-range|cidr|security-group|limit|` +
	`polic|snippet|config-(backend|frontend|defaults|global|proxy|tcp)|modsecurity|owasp|waf|protect|dos|verify|satisfy|secret|middleware|plugin|` +
	`tls\.options|client-c(a|rt|ert)|(^|-)acl|-filter|^methods$`)

func protects(name, value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "false", "off", "none", "no", "0":
		return false
	}
	domain, rest, _ := strings.Cut(name, "/")
	return strings.HasPrefix(domain, "appprotect") || protective.MatchString(strings.ToLower(rest))
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
