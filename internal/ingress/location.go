package ingress

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// compareRoutes puts exact paths first, then prefixes, then expressions: NGINX
// tries those in their order, so the longest comes first.
func compareRoutes(a, b routeKey) int {
	order := func(m Match) int { return []int{1, 0, 2, 2}[m] }
	longest := 0
	if order(a.match) == 2 && order(b.match) == 2 {
		longest = cmp.Compare(len(b.path), len(a.path))
	}
	return cmp.Or(cmp.Compare(order(a.match), order(b.match)), longest, cmp.Compare(a.path, b.path), cmp.Compare(a.match, b.match))
}

// location resolves the backend of a route.
func (b *builder) location(r routed) Location {
	a, object := r.from.annotations, r.from.object
	if r.from.closed {
		return Location{Status: 503}
	}
	if a.redirect != "" {
		return Location{Status: a.redirectStatus, Redirect: a.redirect}
	}
	l := Location{
		Rewrite: a.rewrites[r.backend.Name],
		GRPC:    a.grpcServices[r.backend.Name],
		Sticky:  a.sticky[r.backend.Name],
		Allow:   a.allow, Deny: a.deny,
		Headers:    a.headers,
		Directives: append(slices.Clip(a.directives), a.buffers.directives(b.model.Settings.HeaderBuffer)...),
	}
	switch {
	case a.rewriteTarget == "" || a.rewriteTarget == r.path || r.match == Prefix:
	case r.match == Exact:
		l.Target = groupPattern.ReplaceAllString(a.rewriteTarget, "")
	default:
		l.Target = a.rewriteTarget
	}
	if a.authSecret != "" {
		file, content, err := b.secrets.passwords(object.Namespace, a.authSecret)
		if err != nil {
			b.problem(object, ReasonAuth, "%v", err)
			return Location{Status: 503}
		}
		l.AuthFile, l.AuthRealm = b.model.addFile(file, content), cmp.Or(a.authRealm, "Restricted")
	}
	l.Limit = b.limit(r.from)
	l.Backend, l.Pool = backendKey(object.Namespace, r.backend), poolHTTP
	if l.GRPC {
		l.Pool = poolGRPC
	}
	if a.sslServices[r.backend.Name] {
		if err := b.secure(r, &l); err != nil {
			b.problem(object, ReasonTrust, "TLS to service %s: %v", r.backend.Name, err)
			return Location{Status: 503}
		}
	}
	endpoints, err := b.services.endpoints(object.Namespace, r.backend)
	if err != nil {
		b.problem(object, ReasonService, "%v", err)
	}
	// Without endpoints it answers 503.
	b.model.Endpoints[l.Backend] = endpoints
	return l
}

// groupPattern finds the groups in a target, of which an Exact path has none.
var groupPattern = regexp.MustCompile(`\$[1-9]`)

// secure makes a location speak TLS to its backend.
func (b *builder) secure(r routed, l *Location) error {
	a, namespace := r.from.annotations, r.from.object.Namespace
	l.TLS = &UpstreamTLS{ServerName: r.backend.Name + "." + namespace + ".svc", TrustedFile: b.model.Settings.TrustedCA}
	l.Pool = l.Backend + "." + l.Pool + ".tls"
	if a.trustedSecret != "" {
		file, content, err := b.secrets.trusted(namespace, a.trustedSecret)
		if err != nil {
			return err
		}
		l.TLS.TrustedFile = b.model.addFile(file, content)
		l.Pool += "." + a.trustedSecret
	}
	b.pools[l.Pool] = Pool{l.Pool, 64}
	return nil
}

// limit returns an Ingress's limit. Its zone is named for what NGINX cannot
// change in one that exists.
func (b *builder) limit(p *parsed) Limit {
	a := p.annotations.limit
	if a.rate == "" {
		return Limit{}
	}
	sum := sha256.Sum256([]byte(a.key + " " + a.size + " " + key(p.object)))
	l := Limit{
		Zone: "limit." + hex.EncodeToString(sum[:12]), Key: a.key, Size: a.size, Rate: a.rate,
		Burst: a.burst, Delay: a.delay, NoDelay: a.noDelay, DryRun: a.dryRun, LogLevel: a.logLevel, Code: a.code,
	}
	b.limits[l.Zone] = l
	return l
}

// expand turns a route into NGINX's locations. A Prefix matches whole path
// elements, https://kubernetes.io/docs/concepts/services-networking/ingress/#path-types:
// /tea takes /tea and /tea/green but not /teapot.
func (h *hostBuilder) expand(r routed, l Location) []Location {
	l.Path, l.Match = r.path, r.match
	if r.match != Prefix || r.path == "/" {
		return []Location{l}
	}
	below := l
	below.Path += "/"
	if below.Rewrite != "" && below.Rewrite[len(below.Rewrite)-1] != '/' {
		below.Rewrite += "/"
	}
	l.Match = Exact
	_, taken := h.routes[routeKey{r.path, Exact}]
	// Where a rewritten path ends in a slash, NGINX redirects /tea to /tea/ by
	// itself, and F5's users rely on it.
	if taken || (l.Rewrite != "" && r.slash) {
		return []Location{below}
	}
	return []Location{l, below}
}

// foldPrefixes makes prefixes and regular expressions compete by their length, if
// an Ingress of the host has paths that are expressions in the way of the
// community's controller: NGINX alone would prefer any expression, and /(.*) of
// one Ingress would lead to what the allow list of another protects at /admin.
func (h *hostBuilder) foldPrefixes() {
	folds := false
	for k, r := range h.routes {
		folds = folds || k.match == RegexFold && r.from.annotations.pathRegex == ""
	}
	if !folds {
		return
	}
	for i := range h.Locations {
		l := &h.Locations[i]
		switch {
		case l.Match != Prefix || l.Path == "/" || strings.HasPrefix(l.Path, challengePath):
		case l.Rewrite != "":
			l.Match = First // NGINX replaces no expression in this way
		default:
			l.Path, l.Match = regexp.QuoteMeta(l.Path), Regex
		}
	}
	length := func(l Location) int {
		if l.Match != Regex && l.Match != RegexFold {
			return maxPathLength * 2 // no matter where they stand
		}
		return len(l.Path)
	}
	slices.SortStableFunc(h.Locations, func(a, b Location) int { return cmp.Compare(length(b), length(a)) })
}

// unslashed returns locations that keep NGINX from redirecting /tea to an Exact
// /tea/, which it would do by itself: they lead where /tea does without it.
func (h *hostBuilder) unslashed() (more []Location) {
	exact := map[string]bool{}
	for _, l := range h.Locations {
		exact[l.Path] = exact[l.Path] || l.Match == Exact
	}
	for k := range h.routes {
		path, slash := strings.CutSuffix(k.path, "/")
		if k.match != Exact || !slash || path == "" || exact[path] {
			continue
		}
		best := leadsTo(h.Locations, path)
		if best.Rewrite != "" {
			best.Rewrite += escapePath(strings.TrimPrefix(path, best.Path))
		}
		best.Path, best.Match = path, Exact
		more = append(more, best)
	}
	slices.SortFunc(more, func(a, b Location) int { return cmp.Compare(a.Path, b.Path) })
	return more
}

// leadsTo returns the location of the longest prefix of a path.
func leadsTo(locations []Location, path string) (best Location) {
	for _, l := range locations {
		if l.Match == Prefix && strings.HasPrefix(path, l.Path) && len(l.Path) > len(best.Path) {
			best = l
		}
	}
	return best
}
