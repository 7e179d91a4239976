package ingress

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Build makes the configuration that serves every Ingress that can be served.
// What is wrong with one never keeps another out; it is told in the problems,
// in the order of the Ingresses' age.
func Build(objects Objects, settings Settings) (*Model, []Problem) {
	b := builder{
		model:    &Model{Settings: settings, Files: map[string][]byte{}},
		hosts:    map[string]*hostBuilder{},
		services: indexServices(objects),
		secrets:  indexSecrets(objects.Secrets),
	}
	b.host("") // always there, to answer 404
	var accepted []*parsed
	for _, ing := range byAge(objects.Ingresses) {
		p, err := parse(ing)
		if err != nil {
			b.problem(ing, ReasonInvalid, "%v", err)
			continue
		}
		accepted = append(accepted, p)
	}
	for _, p := range accepted {
		b.addRules(p)
	}
	// Default backends come last: they take what no rule took.
	for _, p := range accepted {
		b.addDefaultBackend(p)
	}
	b.finish()
	return b.model, b.problems
}

// parsed is an Ingress that has been checked from end to end.
type parsed struct {
	object      *networkingv1.Ingress
	annotations annotations
	rules       []parsedRule
	backend     *networkingv1.IngressServiceBackend
}

type parsedRule struct {
	host   string
	routes []route
}

func parse(ing *networkingv1.Ingress) (*parsed, error) {
	p := &parsed{object: ing}
	if problems := validation.IsDNS1123Label(ing.Namespace); len(problems) > 0 {
		return nil, fmt.Errorf("namespace %q: %s", ing.Namespace, problems[0])
	}
	var err error
	if p.annotations, err = parseAnnotations(ing); err != nil {
		return nil, err
	}
	if ing.Spec.DefaultBackend != nil {
		backend, err := parseBackend(*ing.Spec.DefaultBackend)
		if err != nil {
			return nil, fmt.Errorf("default backend: %w", err)
		}
		p.backend = &backend
	}
	for _, rule := range ing.Spec.Rules {
		if err := checkHost(rule.Host); err != nil {
			return nil, err
		}
		parsedRule := parsedRule{host: rule.Host}
		if rule.HTTP != nil {
			for _, path := range rule.HTTP.Paths {
				r, err := parseRoute(path)
				if err != nil {
					return nil, err
				}
				parsedRule.routes = append(parsedRule.routes, r)
			}
		}
		p.rules = append(p.rules, parsedRule)
	}
	for _, entry := range ing.Spec.TLS {
		for _, host := range entry.Hosts {
			if err := checkHost(host); err != nil {
				return nil, fmt.Errorf("tls: %w", err)
			}
		}
		if entry.SecretName != "" {
			if err := checkSecretName(entry.SecretName); err != nil {
				return nil, fmt.Errorf("tls: %w", err)
			}
		}
	}
	return p, nil
}

// hostBuilder gathers what several Ingresses say about one host.
type hostBuilder struct {
	Host
	owner  *networkingv1.Ingress // the oldest that names it
	routes map[routeKey]routed
	tls    *networkingv1.Ingress // the one that TLS comes from
	secret string
}

type routeKey struct {
	path  string
	exact bool
}

type routed struct {
	route
	from *parsed
}

type builder struct {
	model    *Model
	hosts    map[string]*hostBuilder
	services serviceIndex
	secrets  secretIndex
	problems []Problem
}

func (b *builder) problem(ing *networkingv1.Ingress, reason, format string, arguments ...any) {
	p := Problem{ing, reason, fmt.Sprintf(format, arguments...)}
	// Two paths to one missing Service are one mistake.
	if !slices.Contains(b.problems, p) {
		b.problems = append(b.problems, p)
	}
}

func (b *builder) host(name string) *hostBuilder {
	if b.hosts[name] == nil {
		b.hosts[name] = &hostBuilder{Host: Host{Name: name}, routes: map[routeKey]routed{}}
	}
	return b.hosts[name]
}

// claim returns the host for an Ingress to add to, or nil if a host belongs to
// another namespace: whoever may write Ingresses in one must not be able to
// take over a path of an application in another.
func (b *builder) claim(p *parsed, name string) *hostBuilder {
	h := b.host(name)
	if h.owner == nil {
		h.owner = p.object
		h.RedirectForwarded = p.annotations.redirectForwarded
		h.RedirectCode = p.annotations.redirectCode
	}
	if h.owner.Namespace != p.object.Namespace {
		b.problem(p.object, ReasonConflict, "host %q belongs to the older Ingress %s", name, key(h.owner))
		return nil
	}
	return h
}

func (b *builder) addRules(p *parsed) {
	for _, rule := range p.rules {
		h := b.claim(p, rule.host)
		if h == nil {
			continue
		}
		for _, r := range rule.routes {
			b.addRoute(h, p, r)
		}
		b.addTLS(h, p)
	}
}

func (b *builder) addRoute(h *hostBuilder, p *parsed, r route) {
	k := routeKey{r.path, r.exact}
	if taken, ok := h.routes[k]; ok {
		b.problem(p.object, ReasonConflict, "path %q of host %q belongs to the older Ingress %s", r.path, h.Name, key(taken.from.object))
		return
	}
	h.routes[k] = routed{r, p}
}

func (b *builder) addTLS(h *hostBuilder, p *parsed) {
	for _, entry := range p.object.Spec.TLS {
		covered := len(entry.Hosts) == 0 ||
			slices.ContainsFunc(entry.Hosts, func(name string) bool { return coversHost(name, h.Name) })
		if !covered {
			continue
		}
		if h.tls == nil {
			h.tls, h.secret = p.object, entry.SecretName
			h.TLS = true
			h.RedirectHTTP = p.annotations.sslRedirect
			h.RedirectCode = p.annotations.redirectCode
		} else if h.secret != entry.SecretName {
			b.problem(p.object, ReasonConflict, "the certificate of host %q comes from Secret %q of the older Ingress %s",
				h.Name, h.secret, key(h.tls))
		}
	}
}

// addDefaultBackend gives a default backend the rest of its own hosts. That of
// an Ingress without rules takes the hosts that no Ingress names, never the
// rest of a host that belongs to somebody else.
func (b *builder) addDefaultBackend(p *parsed) {
	if p.backend == nil {
		return
	}
	all := route{path: "/", backend: *p.backend}
	if len(p.rules) == 0 {
		if h := b.claim(p, ""); h != nil {
			b.addRoute(h, p, all)
			b.addTLS(h, p)
		}
		return
	}
	for _, rule := range p.rules {
		h := b.hosts[rule.host]
		if _, taken := h.routes[routeKey{path: "/"}]; !taken && h.owner.Namespace == p.object.Namespace {
			b.addRoute(h, p, all)
		}
	}
}

// finish resolves certificates and backends and puts everything in order.
func (b *builder) finish() {
	upstreams := map[string]Upstream{}
	for _, name := range slices.Sorted(maps.Keys(b.hosts)) {
		h := b.hosts[name]
		if h.TLS {
			file, content, err := b.secrets.certificate(h.tls.Namespace, h.secret)
			if err != nil {
				b.problem(h.tls, ReasonSecret, "TLS of host %q: %v", h.Name, err)
			} else {
				h.Certificate = b.model.addFile(file, content)
			}
		}
		for _, k := range slices.SortedFunc(maps.Keys(h.routes), compareRoutes) {
			r := h.routes[k]
			location := b.location(r, upstreams)
			h.Locations = append(h.Locations, h.expand(r, location)...)
		}
		if _, taken := h.routes[routeKey{path: "/"}]; !taken {
			h.Locations = append(h.Locations, Location{Path: "/", Status: 404})
		}
		h.Locations = append(h.Locations, h.unslashed()...)
		b.model.Hosts = append(b.model.Hosts, h.Host)
	}
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		b.model.Upstreams = append(b.model.Upstreams, upstreams[name])
	}
}

func compareRoutes(a, b routeKey) int {
	if a.exact != b.exact {
		if a.exact {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.path, b.path)
}

// location resolves the backend of a route.
func (b *builder) location(r routed, upstreams map[string]Upstream) Location {
	a, object := r.from.annotations, r.from.object
	l := Location{
		Rewrite:        a.rewrites[r.backend.Name],
		MaxBodySize:    a.maxBodySize,
		ConnectTimeout: a.connectTimeout, ReadTimeout: a.readTimeout, SendTimeout: a.sendTimeout,
	}
	upstream, err := b.services.upstream(object.Namespace, r.backend)
	if err != nil {
		b.problem(object, ReasonService, "%v", err)
		l.Status = 503
		return l
	}
	if a.sslServices[r.backend.Name] {
		l.TLS = &UpstreamTLS{
			ServerName:  r.backend.Name + "." + object.Namespace + ".svc",
			TrustedFile: b.model.Settings.TrustedCA,
		}
		// Connections are kept alive by upstream, so those that were verified
		// in one way must not be mixed with others.
		upstream.Name += ".tls"
		if a.trustedSecret != "" {
			file, content, err := b.secrets.trusted(object.Namespace, a.trustedSecret)
			if err != nil {
				b.problem(object, ReasonTrust, "TLS to service %s: %v", r.backend.Name, err)
				l.Status = 503
				return l
			}
			l.TLS.TrustedFile = b.model.addFile(file, content)
			upstream.Name += "." + a.trustedSecret
		}
	}
	if len(upstream.Servers) == 0 {
		l.Status = 503
		return l
	}
	upstreams[upstream.Name] = upstream
	l.Upstream = upstream.Name
	return l
}

// expand turns a route into NGINX's locations. A Prefix matches whole path
// elements, https://kubernetes.io/docs/concepts/services-networking/ingress/#path-types:
// /tea takes /tea and /tea/green but not /teapot.
func (h *hostBuilder) expand(r routed, l Location) []Location {
	l.Path, l.Exact = r.path, r.exact
	if r.exact || r.path == "/" {
		return []Location{l}
	}
	below := l
	below.Path += "/"
	if below.Rewrite != "" && below.Rewrite[len(below.Rewrite)-1] != '/' {
		below.Rewrite += "/"
	}
	l.Exact = true
	_, taken := h.routes[routeKey{path: r.path, exact: true}]
	// Where a rewritten path ends in a slash, NGINX redirects /tea to /tea/ by
	// itself, and F5's users rely on it.
	if taken || (l.Rewrite != "" && r.slash) {
		return []Location{below}
	}
	return []Location{l, below}
}

// unslashed returns locations that keep NGINX from redirecting /tea to an Exact
// /tea/, which it would do by itself: they lead where /tea does without it.
func (h *hostBuilder) unslashed() (more []Location) {
	for k := range h.routes {
		path, slash := strings.CutSuffix(k.path, "/")
		if !k.exact || !slash || path == "" || slices.ContainsFunc(h.Locations, func(l Location) bool { return l.Exact && l.Path == path }) {
			continue
		}
		var best Location
		for _, l := range h.Locations {
			if !l.Exact && strings.HasPrefix(path, l.Path) && len(l.Path) > len(best.Path) {
				best = l
			}
		}
		if best.Rewrite != "" {
			best.Rewrite += escapePath(strings.TrimPrefix(path, best.Path))
		}
		best.Path, best.Exact = path, true
		more = append(more, best)
	}
	slices.SortFunc(more, func(a, b Location) int { return cmp.Compare(a.Path, b.Path) })
	return more
}

func key(ing *networkingv1.Ingress) string { return ing.Namespace + "/" + ing.Name }
