package ingress

import (
	"slices"
	"strconv"
	"strings"
)

func (r *renderer) proxy() {
	w := &r.w
	w.directive("proxy_http_version", "1.1")
	r.upstreamHeaders("$scheme", nil)
	r.responseHeaders(Host{}, nil)
	for _, protocol := range []string{"proxy", "grpc"} {
		w.directive(protocol+"_connect_timeout", "2s")
		// NGINX sends a request again only if that is safe: a POST whose upstream
		// refused the connection is, one that was already sent is not.
		w.directive(protocol+"_next_upstream", "error", "timeout")
		w.directive(protocol+"_next_upstream_tries", "3")
		w.directive(protocol+"_next_upstream_timeout", "10s")
		w.directive(protocol+"_buffer_size", formatBytes(r.m.Settings.HeaderBuffer))
		w.directive(protocol+"_ssl_protocols", "TLSv1.2", "TLSv1.3")
		w.directive(protocol+"_ssl_verify", "on")
		w.directive(protocol+"_ssl_verify_depth", "4")
		w.directive(protocol+"_ssl_server_name", "on")
	}
	// What an upstream sends goes on at once, events of a stream too.
	w.directive("proxy_buffering", "off")
	w.directive("proxy_buffers", "16", "8k")
	w.directive("proxy_busy_buffers_size", formatBytes(min(max(r.m.Settings.HeaderBuffer, 16<<10), 120<<10)))
	w.directive("proxy_max_temp_file_size", "0")
}

// contradicting are fields in which a client could tell an application another
// host, scheme or path than its request was routed by. Proxy becomes HTTP_PROXY in
// CGI, the proxy of what the application itself asks for (CVE-2016-5385).
var contradicting = []string{
	"Forwarded", "X-Forwarded-Scheme", "X-Forwarded-Protocol", "X-Forwarded-Ssl", "X-Original-Url", "X-Rewrite-Url", "Proxy",
}

// upstreamHeaders writes the fields that an upstream gets in place of the
// client's. What concerns one connection only goes no further: RFC 9110, 7.6.1.
func (r *renderer) upstreamHeaders(proto string, more [][2]string) {
	both := [][2]string{
		{"Host", "$routed_host"},
		{"X-Real-IP", "$remote_addr"},
		{"X-Forwarded-For", "$proxy_add_x_forwarded_for"},
		{"X-Forwarded-Host", "$routed_host"},
		{"X-Forwarded-Port", "$server_port"},
		{"X-Forwarded-Proto", proto},
		{"X-Request-ID", "$forwarded_request_id"},
		{"Proxy-Connection", ""}, {"Proxy-Authorization", ""}, {"Keep-Alive", ""}, {"Trailer", ""},
	}
	for _, name := range contradicting {
		both = append(both, [2]string{name, ""})
	}
	for _, header := range more {
		both = slices.DeleteFunc(both, func(h [2]string) bool { return strings.EqualFold(h[0], header[0]) })
	}
	both = append(both, more...)
	for _, header := range append([][2]string{{"Connection", "$connection_upgrade"}, {"Upgrade", "$tunnel"}, {"TE", ""}}, both...) {
		r.w.directive("proxy_set_header", header[0], header[1])
	}
	for _, header := range both {
		r.w.directive("grpc_set_header", header[0], header[1])
	}
}

// responseHeaders writes which fields of an upstream's response are left out and
// which are added. Both lists hold from one level down to the next only as a
// whole, so a caller that adds to one writes all of it.
func (r *renderer) responseHeaders(h Host, hidden []string) {
	hidden = append([]string{"Upgrade", "Trailer", "Proxy-Connection"}, hidden...)
	if h.HSTS != "" {
		hidden = append(hidden, "Strict-Transport-Security")
	}
	for _, name := range hidden {
		r.w.directive("proxy_hide_header", name)
		r.w.directive("grpc_hide_header", name)
	}
	r.w.directive("add_header", "Upgrade", "$upgraded", "always")
	if h.HSTS != "" {
		r.w.directive("add_header", "Strict-Transport-Security", "$hsts", "always")
	}
}

// pool writes the upstream of everything that is spoken to in one way; which
// endpoint gets a request is for balance.lua to say. There are no passive health
// checks: Kubernetes says which endpoints are ready, and one URL that crashes
// the application must not take every endpoint out of service. A request that
// fails still goes to the next.
func (r *renderer) pool(p Pool) {
	w := &r.w
	w.block("upstream", []string{poolName(p.Name)}, func() {
		w.directive("server", "0.0.0.1") // never asked
		w.directive("balancer_by_lua_file", r.m.Settings.path("balance.lua"))
		w.directive("keepalive", strconv.Itoa(p.Idle))
		w.directive("keepalive_requests", "10000")
		// Below the 5 s of Node.js, the shortest in common use: an upstream
		// that closes first may do so while a POST is on its way.
		w.directive("keepalive_timeout", "4s")
	})
}

func poolName(name string) string { return "endpoints." + name }
