package ingress

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Build makes the configuration for all valid Ingresses. A bad one never affects
// others. The problems are in the order of the Ingresses' age.
func Build(objects Objects, settings Settings) (*Model, []Problem) {
	b := builder{
		model:    &Model{Settings: settings, Files: map[string][]byte{}, Endpoints: map[string][]string{}, Certificates: map[string]Certificate{}},
		pools:    map[string]Pool{poolHTTP: {poolHTTP, 1024}, poolGRPC: {poolGRPC, 64}},
		limits:   map[string]Limit{},
		told:     map[Problem]bool{},
		now:      objects.Now,
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
		if p.annotations.canary {
			b.problem(ing, ReasonCanary, "canaries are not supported here: all requests go to the Ingress beside it")
			continue
		}
		b.examine(p)
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

// examine says what about an Ingress that is served is not as its author may
// think. One that cannot be served as it asks is closed: its paths answer 503,
// so that no shorter path of another Ingress leads to what it protects.
func (b *builder) examine(p *parsed) {
	a := p.annotations
	switch {
	case p.invalid != nil:
		p.closed = true
		b.problem(p.object, ReasonInvalid, "%v; its paths answer 503", p.invalid)
	case len(a.closed) > 0:
		p.closed = true
		b.problem(p.object, ReasonClosed, "not supported here: annotations %s; its paths answer 503 instead of being served without protection",
			strings.Join(a.closed, ", "))
	case len(a.ignored) > 0:
		b.problem(p.object, ReasonIgnored, "not supported here, and without effect: annotations %s", strings.Join(a.ignored, ", "))
	}
	for _, rule := range p.rules {
		for _, r := range rule.routes {
			if looksLikeExpression(r) {
				b.problem(p.object, ReasonLiteral, "path %q is taken literally: a Prefix needs no /*, and a regular expression annotation %s", r.path, AnnotationPathRegex)
			}
		}
	}
	for _, name := range p.tlsHosts() {
		if len(p.rules) > 0 && !slices.ContainsFunc(p.rules, func(r parsedRule) bool { return coversHost(name, r.host) }) {
			b.problem(p.object, ReasonUnused, "tls names host %q, but no rule does", name)
		}
	}
}

// claim returns the host for an Ingress to add to, or nil if a host belongs to
// another namespace: who may write Ingresses in one must not be able to
// take over a path of an application in another.
func (b *builder) claim(p *parsed, name string) *hostBuilder {
	h := b.host(name)
	if h.owner == nil {
		h.owner = p.object
		h.RedirectCode = p.annotations.redirectCode
	}
	if h.owner.Namespace != p.object.Namespace {
		b.problem(p.object, ReasonConflict, "host %q belongs to the older Ingress %s", name, key(h.owner))
		return nil
	}
	// What is said for a whole host holds whichever of its Ingresses says it.
	h.RedirectForwarded = h.RedirectForwarded || p.annotations.redirectForwarded
	h.root = cmp.Or(h.root, p.annotations.appRoot)
	if h.HSTS == "" {
		h.HSTS, h.HSTSBehindProxy = p.annotations.hsts.header(), p.annotations.hsts.behindProxy
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
	k := routeKey{r.path, r.match}
	taken, ok := h.routes[k]
	switch {
	case ok && taken.from == p:
		// /tea and /tea/ are one Prefix, and charts write both.
		if taken.backend != r.backend {
			b.problem(p.object, ReasonConflict, "path %q of host %q is there twice: it leads to service %s", r.path, h.Name, taken.backend.Name)
		}
		return
	case ok:
		b.problem(p.object, ReasonConflict, "path %q of host %q belongs to the older Ingress %s", r.path, h.Name, key(taken.from.object))
		return
	}
	h.routes[k] = routed{r, p}
}

func (b *builder) addTLS(h *hostBuilder, p *parsed) {
	entry := p.tlsOf(h.Name)
	switch {
	case entry == nil:
	case h.tls == nil:
		h.tls, h.secret = p.object, entry.SecretName
		h.TLS = true
		h.RedirectHTTP = p.annotations.sslRedirect
		h.RedirectCode = p.annotations.redirectCode
	case h.secret != entry.SecretName:
		b.problem(p.object, ReasonConflict, "the certificate of host %q comes from Secret %q of the older Ingress %s",
			h.Name, h.secret, key(h.tls))
	}
}

// addDefaultBackend gives a default backend the rest of its own hosts. That of
// an Ingress without rules takes the hosts that it has certificates for and those
// that no Ingress names, never the rest of a host that belongs to somebody else.
func (b *builder) addDefaultBackend(p *parsed) {
	if p.backend == nil {
		return
	}
	all := route{path: "/", backend: *p.backend}
	if len(p.object.Spec.Rules) == 0 {
		for _, name := range append([]string{""}, p.tlsHosts()...) {
			if h := b.claim(p, name); h != nil {
				b.addRoute(h, p, all)
				b.addTLS(h, p)
			}
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
	for _, name := range slices.Sorted(maps.Keys(b.hosts)) {
		h := b.hosts[name]
		if h.TLS {
			h.Certificate = b.certificate(h)
		}
		for _, k := range slices.SortedFunc(maps.Keys(h.routes), compareRoutes) {
			r := h.routes[k]
			h.Locations = append(h.Locations, h.expand(r, b.location(r))...)
		}
		if _, taken := h.routes[routeKey{path: "/"}]; !taken {
			h.Locations = append(h.Locations, Location{Path: "/", Status: 404})
		}
		if _, taken := h.routes[routeKey{"/", Exact}]; !taken && h.root != "" {
			h.Locations = append(h.Locations, Location{Path: "/", Match: Exact, Status: 302, Redirect: h.root})
		}
		h.Locations = append(h.Locations, h.unslashed()...)
		h.foldPrefixes()
		b.model.Hosts = append(b.model.Hosts, h.Host)
	}
	for _, name := range slices.Sorted(maps.Keys(b.pools)) {
		b.model.Pools = append(b.model.Pools, b.pools[name])
	}
	for _, zone := range slices.Sorted(maps.Keys(b.limits)) {
		b.model.Limits = append(b.model.Limits, b.limits[zone])
	}
}

func (b *builder) certificate(h *hostBuilder) string {
	file, content, ends, err := b.secrets.certificate(h.tls.Namespace, h.secret)
	if err != nil {
		b.problem(h.tls, ReasonSecret, "TLS of host %q: %v", h.Name, err)
		return ""
	}
	if !b.now.IsZero() && b.now.After(ends) {
		b.problem(h.tls, ReasonExpired, "TLS of host %q: the certificate in Secret %s/%s expired on %s",
			h.Name, h.tls.Namespace, h.secret, ends.UTC().Format(time.DateTime))
	}
	name := h.tls.Namespace + "_" + h.secret
	b.model.Certificates[name] = Certificate{ends, append(b.model.Certificates[name].Hosts, h.Name)}
	return b.model.addFile(file, content)
}
