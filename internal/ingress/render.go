package ingress

import (
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Render writes the configuration. The same Model always gives the same bytes.
func (m *Model) Render() []byte {
	r := renderer{m: m}
	r.main()
	return r.w.Bytes()
}

type renderer struct {
	m *Model
	w writer
}

func (r *renderer) path(name string) string { return filepath.Join(r.m.Settings.Dir, name) }

func (r *renderer) main() {
	w := &r.w
	w.directive("daemon", "off")
	w.directive("pid", r.path("nginx.pid"))
	w.directive("error_log", "stderr", "warn")
	w.directive("worker_processes", "auto")
	w.directive("worker_rlimit_nofile", "20000")
	w.directive("worker_shutdown_timeout", strconv.Itoa(int(r.m.Settings.ShutdownTimeout.Seconds()))+"s")
	w.block("events", nil, func() { w.directive("worker_connections", "8192") })
	w.block("http", nil, r.http)
}

func (r *renderer) http() {
	w := &r.w
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		w.directive(kind+"_temp_path", r.path(kind))
	}
	w.directive("default_type", "application/octet-stream")
	w.directive("server_tokens", "off")
	w.directive("absolute_redirect", "off")
	// A DNS name is at most 253 bytes, and a hash bucket must hold one.
	w.directive("server_names_hash_bucket_size", "512")
	w.directive("server_names_hash_max_size", "4096")
	w.directive("keepalive_requests", "10000")
	// A worker that is told to quit closes connections that are idle, and those
	// of HTTP/1.1 after their request. One of HTTP/2 that was in its handshake
	// just then it goes on serving, with endpoints of yesterday, unless it is
	// old: then it ends with GOAWAY, which loses nothing. Pods stay for longer
	// than this after they left their Service (preStop in the chart).
	w.directive("keepalive_time", "2s")
	w.directive("client_header_timeout", "15s")
	w.directive("client_body_buffer_size", "64k")
	r.accessLog()
	r.tls()
	r.drain()
	r.proxy()
	for _, u := range r.m.Upstreams {
		r.upstream(u)
	}
	r.status()
	for _, h := range r.m.Hosts {
		r.host(h)
	}
}

// accessLog writes JSON lines with the fields of log/slog. It logs the path and
// never the query, where tokens and passwords tend to be.
func (r *renderer) accessLog() {
	w, file := &r.w, r.m.Settings.AccessLog
	if file == "off" || file == "" {
		w.directive("access_log", "off")
		return
	}
	w.directive("log_format", "json", "escape=json", `{"time":"$time_iso8601","level":"INFO","msg":"request",`+
		`"request_id":"$forwarded_request_id","client":"$remote_addr","method":"$request_method","host":"$host","path":"$uri",`+
		`"protocol":"$server_protocol","status":$status,"bytes":$body_bytes_sent,"duration":$request_time,`+
		`"upstream":"$upstream_addr","upstream_status":"$upstream_status","upstream_duration":"$upstream_response_time",`+
		`"user_agent":"$http_user_agent"}`)
	// A write of at most PIPE_BUF bytes is atomic, so lines of several workers do
	// not mix.
	w.directive("access_log", file, "json", "buffer=4k", "flush=1s")
}

func (r *renderer) tls() {
	w := &r.w
	w.directive("ssl_protocols", "TLSv1.2", "TLSv1.3")
	w.directive("ssl_ciphers", "DEFAULT")
	w.directive("ssl_session_cache", "shared:tls:10m")
	w.directive("ssl_session_timeout", "1h")
	w.directive("ssl_session_tickets", "off")
}

func (r *renderer) proxy() {
	w := &r.w
	w.block("map", []string{"$http_upgrade", "$connection_upgrade"}, func() {
		w.directive("default", "upgrade")
		// No Connection header at all keeps upstream connections alive.
		w.directive(`""`, "")
	})
	w.block("map", []string{"$http_x_request_id", "$forwarded_request_id"}, func() {
		w.directive("default", "$request_id")
		w.directive(`""`, "$request_id") // found before any pattern is tried
		w.directive(quote(`~^[A-Za-z0-9._-]{1,128}$`), "$http_x_request_id")
	})
	w.directive("proxy_http_version", "1.1")
	r.proxyHeaders("$scheme")
	w.directive("proxy_connect_timeout", "2s")
	// NGINX sends a request again only if that is safe: a POST whose upstream
	// refused the connection is, one that was already sent is not.
	w.directive("proxy_next_upstream", "error", "timeout")
	w.directive("proxy_next_upstream_tries", "3")
	w.directive("proxy_next_upstream_timeout", "10s")
	w.directive("proxy_buffer_size", "8k")
	w.directive("proxy_buffers", "16", "8k")
	w.directive("proxy_max_temp_file_size", "0")
	w.directive("proxy_ssl_protocols", "TLSv1.2", "TLSv1.3")
	w.directive("proxy_ssl_verify", "on")
	w.directive("proxy_ssl_verify_depth", "4")
	w.directive("proxy_ssl_server_name", "on")
}

func (r *renderer) proxyHeaders(proto string) {
	for _, header := range [][2]string{
		{"Host", "$http_host"},
		{"Connection", "$connection_upgrade"},
		{"Upgrade", "$http_upgrade"},
		{"X-Real-IP", "$remote_addr"},
		{"X-Forwarded-For", "$proxy_add_x_forwarded_for"},
		{"X-Forwarded-Host", "$http_host"},
		{"X-Forwarded-Port", "$server_port"},
		{"X-Forwarded-Proto", proto},
		{"X-Request-ID", "$forwarded_request_id"},
	} {
		r.w.directive("proxy_set_header", header[0], header[1])
	}
}

// upstream has no passive health checks: Kubernetes says which endpoints are
// ready, and with max_fails one URL that crashes the application would take
// every endpoint out of service. A request that fails still goes to the next.
func (r *renderer) upstream(u Upstream) {
	w := &r.w
	w.block("upstream", []string{u.Name}, func() {
		for _, server := range u.Servers {
			w.directive("server", server, "max_fails=0")
		}
		w.directive("keepalive", "256")
		w.directive("keepalive_requests", "10000")
		// Below the 5 s of Node.js, the shortest in common use: an upstream
		// that closes first may do so while a POST is on its way.
		w.directive("keepalive_timeout", "4s")
	})
}

// status answers the controller on a socket in its own folder.
func (r *renderer) status() {
	w := &r.w
	w.block("server", nil, func() {
		w.directive("listen", "unix:"+r.m.Settings.StatusSocket())
		w.directive("access_log", "off")
		w.directive("uninitialized_variable_warn", "off") // it never drains
		w.block("location", []string{"=", "/generation"}, func() {
			w.directive("return", "200", strconv.Itoa(r.m.Generation))
		})
		w.block("location", []string{"=", "/stub_status"}, func() { w.directive("stub_status") })
	})
}

// host writes one server for both schemes, or two where they differ.
func (r *renderer) host(h Host) {
	https := func() { r.locations(h) }
	http := https
	if h.RedirectHTTP {
		http = func() {
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
			parameters := []string{"ssl"}
			if !r.m.Settings.HTTP2Directive {
				parameters = append(parameters, "http2")
			}
			r.listen(r.m.Settings.HTTPS, h.Name == "", parameters...)
			if r.m.Settings.HTTP2Directive {
				w.directive("http2", "on")
			}
		}
		w.directive("server_name", serverName(h.Name))
		if https && h.Certificate != "" {
			w.directive("ssl_certificate", h.Certificate)
			w.directive("ssl_certificate_key", h.Certificate)
		}
		r.checkState()
		if h.RedirectForwarded {
			w.block("if", []string{"($http_x_forwarded_proto", "=", "http)"}, func() { r.redirect(h) })
			r.proxyHeaders("https")
		}
		body()
	})
}

// drain asks clients of HTTP/1.1 to close their connections while this
// generation's StateLink leads to StateDrain. Old workers close idle connections
// as soon as they are told to quit, and a request that is on its way just then is
// lost; after a short drain none is left that is in use. (NGINX has
// keepalive_min_timeout for this since 1.27.4, newer than Debian's.)
//
// checkState looks when a request begins, which costs one system call. For those
// that take longer, $realpath_root looks again when the response begins: it costs
// several, and is NGINX's one variable that reads something from outside that
// late. Nothing is ever served from the root: every location answers by itself
// or asks an upstream.
func (r *renderer) drain() {
	w := &r.w
	w.directive("root", r.m.Settings.StateLink(r.m.Generation))
	w.block("map", []string{"$realpath_root", "$drain_late"}, func() {
		w.directive("default", "")
		w.directive(quote("~/"+StateDrain+"$"), "close")
	})
	w.block("map", []string{"$request_time", "$drain"}, func() {
		w.directive("default", "$drain_late")
		w.directive(quote(`~^0\.[01]`), "$drain_early")
	})
	// Neither in HTTP/2, which says so in a frame of its own, nor in the answer
	// that opens a WebSocket.
	w.block("map", []string{"$http2$http_upgrade", "$connection_drain"}, func() {
		w.directive("default", "")
		w.directive(`""`, "$drain")
	})
	w.directive("add_header", "Connection", "$connection_drain", "always")
}

func (r *renderer) checkState() {
	w := &r.w
	w.directive("set", "$drain_early", "")
	w.block("if", []string{"(-f", r.m.Settings.StateLink(r.m.Generation) + ")"}, func() { w.directive("set", "$drain_early", "close") })
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

// serverName writes a wildcard as a pattern for exactly one label, which is what
// Kubernetes means by it; NGINX's own takes any number.
func serverName(host string) string {
	parent, wildcard := strings.CutPrefix(host, "*.")
	if !wildcard {
		return host
	}
	return `~^[^.]+\.` + strings.ReplaceAll(parent, ".", `\.`) + "$"
}

func (r *renderer) redirect(h Host) {
	target := "https://$host"
	if port := r.m.Settings.PublicHTTPSPort; port != 443 {
		target += ":" + strconv.Itoa(int(port))
	}
	r.w.directive("return", strconv.Itoa(h.RedirectCode), target+"$request_uri")
}

func (r *renderer) locations(h Host) {
	for _, l := range h.Locations {
		parameters := []string{l.Path}
		if l.Exact {
			parameters = []string{"=", l.Path}
		}
		r.w.block("location", parameters, func() { r.location(l) })
	}
}

func (r *renderer) location(l Location) {
	w := &r.w
	if l.Upstream == "" {
		w.directive("return", strconv.Itoa(l.Status))
		return
	}
	for _, override := range [][2]string{
		{"client_max_body_size", l.MaxBodySize},
		{"proxy_connect_timeout", l.ConnectTimeout},
		{"proxy_read_timeout", l.ReadTimeout},
		{"proxy_send_timeout", l.SendTimeout},
	} {
		if override[1] != "" {
			w.directive(override[0], override[1])
		}
	}
	scheme := "http://"
	if l.TLS != nil {
		scheme = "https://"
		w.directive("proxy_ssl_name", l.TLS.ServerName)
		w.directive("proxy_ssl_trusted_certificate", l.TLS.TrustedFile)
	}
	w.directive("proxy_pass", scheme+l.Upstream+l.Rewrite)
}
