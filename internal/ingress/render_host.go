package ingress

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// plain reports whether a host needs nothing but to be led to its one backend.
// Such hosts share one server, whose tables cost a fraction of servers of their
// own.
func (h Host) plain() bool {
	if h.Name == "" || strings.HasPrefix(h.Name, "*") || h.TLS || h.RedirectForwarded || h.HSTS != "" || len(h.Locations) != 1 {
		return false
	}
	l := h.Locations[0]
	return l.Backend != "" && l.Pool == poolHTTP && reflect.DeepEqual(l, Location{Path: "/", Backend: l.Backend, Pool: l.Pool})
}

func (r *renderer) plainHosts() {
	w := &r.w
	var plain []Host
	for _, h := range r.m.Hosts {
		if h.plain() {
			plain = append(plain, h)
		}
	}
	if len(plain) == 0 {
		return
	}
	w.block("map", []string{"$host", "$plain_backend"}, func() {
		for _, h := range plain {
			w.directive(quote(h.Name), h.Locations[0].Backend)
		}
	})
	names := func() {
		for _, h := range plain {
			w.directive("server_name", h.Name)
		}
	}
	w.block("server", nil, func() {
		r.listen(r.m.Settings.HTTP, false)
		names()
		r.detours()
		w.block("location", []string{"/"}, func() {
			r.location(Host{}, Location{Path: "/", Backend: "$plain_backend", Pool: poolHTTP})
		})
	})
	w.block("server", nil, func() {
		r.listenTLS(false)
		names()
		r.rejectTLS()
	})
}

// challengePath is where an ACME authority looks for the answer to an HTTP-01
// challenge, over plain HTTP: RFC 8555, section 8.3.
const challengePath = "/.well-known/acme-challenge/"

// host writes one server for both schemes, or two where they differ.
func (r *renderer) host(h Host) {
	https := func() { r.locations(h, h.Locations) }
	http := https
	if h.RedirectHTTP {
		http = func() {
			r.locations(h, h.challenges())
			r.w.block("location", []string{"/"}, func() { r.redirect(h) })
		}
	}
	switch {
	case h.Certificate != "" && !h.RedirectHTTP:
		r.server(h, true, true, https)
	case h.Certificate != "":
		r.server(h, true, false, http)
		r.server(h, false, true, https)
	default:
		r.server(h, true, false, http)
		r.server(h, false, true, r.rejectTLS)
	}
}

// challenges returns what of a host is served over plain HTTP though the rest is
// redirected: the paths of ACME challenges and, while there is no certificate to
// redirect to, whatever answers there.
func (h Host) challenges() (all []Location) {
	found := false
	for _, l := range h.Locations {
		if l.Match != Prefix && l.Match != Exact || !strings.HasPrefix(l.Path, challengePath) {
			continue
		}
		all, found = append(all, l), found || l.Path == challengePath && l.Match == Prefix
	}
	best := leadsTo(h.Locations, challengePath)
	if h.Certificate == "" && !found && best.Backend != "" {
		if best.Rewrite != "" {
			best.Rewrite += escapePath(strings.TrimPrefix(challengePath, best.Path))
		}
		best.Path = challengePath
		all = append(all, best)
	}
	return all
}

// rejectTLS refuses the handshake for a host without a certificate, which a
// wildcard's certificate would otherwise serve. A request that comes over a
// connection made for another host is told to open its own.
func (r *renderer) rejectTLS() {
	r.w.directive("ssl_reject_handshake", "on")
	r.w.block("location", []string{"/"}, func() { r.w.directive("return", "421") })
}

func (r *renderer) server(h Host, http, https bool, body func()) {
	w := &r.w
	w.block("server", nil, func() {
		if http {
			r.listen(r.m.Settings.HTTP, h.Name == "")
		}
		if https {
			r.listenTLS(h.Name == "")
		}
		w.directive("server_name", serverName(h.Name))
		if https && h.Certificate != "" {
			w.directive("ssl_certificate", h.Certificate)
			w.directive("ssl_certificate_key", h.Certificate)
		}
		if h.RedirectForwarded {
			w.block("if", []string{"($http_x_forwarded_proto", "=", "http)"}, func() { r.redirect(h) })
			r.upstreamHeaders("https", nil)
		}
		if h.HSTS != "" {
			w.directive("set", "$hsts", "")
			w.block("if", []string{"($https)"}, func() { w.directive("set", "$hsts", h.HSTS) })
			if h.HSTSBehindProxy {
				w.block("if", []string{"($http_x_forwarded_proto", "=", "https)"}, func() { w.directive("set", "$hsts", h.HSTS) })
			}
			r.responseHeaders(h, nil)
		}
		body()
	})
}

func (r *renderer) listen(addresses []netip.AddrPort, first bool, parameters ...string) {
	for _, address := range addresses {
		all := append([]string{address.String()}, parameters...)
		if first {
			all = append(all, "default_server", "backlog=4096")
		}
		r.w.directive("listen", all...)
	}
}

func (r *renderer) listenTLS(first bool) {
	if r.m.Settings.HTTP2Directive {
		r.listen(r.m.Settings.HTTPS, first, "ssl")
		r.w.directive("http2", "on")
		return
	}
	r.listen(r.m.Settings.HTTPS, first, "ssl", "http2")
}

// serverName writes a wildcard as a pattern for exactly one label, which is what
// Kubernetes means by it; NGINX's own takes any number.
func serverName(host string) string {
	parent, wildcard := strings.CutPrefix(host, "*.")
	if !wildcard {
		return host
	}
	return `~^[a-z0-9_-]+\.` + strings.ReplaceAll(parent, ".", `\.`) + "$"
}

func (r *renderer) redirect(h Host) {
	target := "https://$host"
	if port := r.m.Settings.PublicHTTPSPort; port != 443 {
		target += ":" + strconv.Itoa(int(port))
	}
	r.w.directive("return", strconv.Itoa(h.RedirectCode), target+"$request_uri")
}

// detours are the ways of a request other than to its backend. NGINX asks for no
// client's certificate, so 496 is never its own: access in endpoints.lua answers
// it to have the connection closed after the response, before workers are
// replaced. NGINX's own 500 means that it has no room for a request.
func (r *renderer) detours() {
	w := &r.w
	w.directive("access_by_lua", "endpoints.access()")
	w.directive("error_page", "496", "=", "@again")
	w.directive("error_page", "500", "=503", "@unavailable")
	w.block("location", []string{"@again"}, func() {
		w.directive("set", "$again", "1")
		w.directive("rewrite_by_lua", "endpoints.again()")
	})
	w.block("location", []string{"@unavailable"}, func() { w.directive("return", "503") })
}

func (r *renderer) locations(h Host, all []Location) {
	if slices.ContainsFunc(all, func(l Location) bool { return l.Backend != "" }) {
		r.detours()
	}
	for _, l := range all {
		parameters := []string{l.Path}
		switch l.Match {
		case Exact:
			parameters = []string{"=", l.Path}
		case Regex:
			parameters = []string{"~", "^" + l.Path}
		case First:
			parameters = []string{"^~", l.Path}
		case RegexFold:
			parameters = []string{"~*", "^" + l.Path}
		}
		r.w.block("location", parameters, func() { r.location(h, l) })
	}
}

func (r *renderer) location(h Host, l Location) {
	w := &r.w
	if l.Backend == "" {
		parameters := []string{strconv.Itoa(l.Status)}
		if l.Redirect != "" {
			parameters = append(parameters, l.Redirect)
		}
		w.directive("return", parameters...)
		return
	}
	w.directive("set", "$backend", l.Backend)
	if l.Target != "" {
		pattern := "^"
		if l.Match == Regex || l.Match == RegexFold {
			pattern = "(?is)^" + l.Path
		}
		w.directive("set", "$asked_path", "$uri")
		w.directive("rewrite", pattern, l.Target, "break")
	}
	r.protection(l)
	var hidden []string
	for _, d := range l.Directives {
		if d.Name == "proxy_hide_header" {
			hidden = append(hidden, d.Parameters[0])
			continue
		}
		if name := d.Name; !l.GRPC {
			w.directive(name, d.Parameters...)
		} else if name, known := grpcName(name); known {
			w.directive(name, d.Parameters...)
		}
	}
	if hidden != nil {
		r.responseHeaders(h, hidden)
	}
	if l.Headers != nil {
		proto := "$scheme"
		if h.RedirectForwarded {
			proto = "https"
		}
		r.upstreamHeaders(proto, l.Headers)
	}
	if l.Sticky.Cookie != "" {
		w.directive("set", "$sticky", l.Sticky.Cookie)
		w.directive("set", "$sticky_attributes", l.Sticky.Attributes)
		w.directive("header_filter_by_lua", "endpoints.stick(ngx.var.sticky_attributes)")
	}
	r.pass(l)
}

// protection writes who may use a location, and how often.
func (r *renderer) protection(l Location) {
	w := &r.w
	if l.AuthFile != "" {
		w.directive("auth_basic", l.AuthRealm)
		w.directive("auth_basic_user_file", l.AuthFile)
	}
	for _, network := range l.Deny {
		w.directive("deny", network)
	}
	for _, network := range l.Allow {
		w.directive("allow", network)
	}
	if len(l.Allow) > 0 {
		w.directive("deny", "all")
	}
	if l.Limit.Zone == "" {
		return
	}
	parameters := []string{"zone=" + l.Limit.Zone}
	if l.Limit.Burst != "" {
		parameters = append(parameters, "burst="+l.Limit.Burst)
	}
	if l.Limit.NoDelay {
		parameters = append(parameters, "nodelay")
	} else if l.Limit.Delay != "" {
		parameters = append(parameters, "delay="+l.Limit.Delay)
	}
	w.directive("limit_req", parameters...)
	w.directive("limit_req_status", l.Limit.Code)
	w.directive("limit_req_log_level", l.Limit.LogLevel)
	if l.Limit.DryRun {
		w.directive("limit_req_dry_run", "on")
	}
}

// grpcName returns the counterpart of a directive for gRPC, if there is one.
func grpcName(name string) (string, bool) {
	rest, isProxy := strings.CutPrefix(name, "proxy_")
	switch rest {
	case "buffering", "buffers", "busy_buffers_size", "max_temp_file_size":
		return "", false
	}
	if isProxy {
		return "grpc_" + rest, true
	}
	return name, true
}

// pass hands the request on: with the URI as the client wrote it, unless it is
// rewritten.
func (r *renderer) pass(l Location) {
	w, scheme, protocol := &r.w, "http", "proxy"
	if l.GRPC {
		scheme, protocol = "grpc", "grpc"
	}
	if l.TLS != nil {
		scheme += "s"
		w.directive(protocol+"_ssl_name", l.TLS.ServerName)
		w.directive(protocol+"_ssl_trusted_certificate", l.TLS.TrustedFile)
	}
	w.directive(protocol+"_pass", scheme+"://"+poolName(l.Pool)+l.Rewrite)
}
