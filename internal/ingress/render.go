package ingress

import (
	"path/filepath"
	"slices"
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
	w, s := &r.w, r.m.Settings
	for _, module := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
		w.directive("load_module", filepath.Join(s.Modules, module))
	}
	w.directive("daemon", "off")
	w.directive("pid", r.path("nginx.pid"))
	w.directive("error_log", "stderr", "warn")
	w.directive("worker_processes", strconv.Itoa(s.Workers))
	w.directive("worker_rlimit_nofile", "20000")
	w.directive("pcre_jit", "on")
	w.directive("worker_shutdown_timeout", strconv.Itoa(int(s.ShutdownTimeout.Seconds()))+"s")
	w.block("events", nil, func() { w.directive("worker_connections", "8192") })
	w.block("http", nil, r.http)
}

func (r *renderer) http() {
	w := &r.w
	w.directive("client_body_temp_path", r.m.Settings.Uploads())
	for _, kind := range []string{"proxy", "fastcgi", "uwsgi", "scgi"} {
		w.directive(kind+"_temp_path", r.path(kind))
	}
	w.directive("default_type", "application/octet-stream")
	w.directive("server_tokens", "off")
	w.directive("absolute_redirect", "off")
	w.directive("uninitialized_variable_warn", "off")
	r.hashes()
	w.directive("keepalive_requests", "10000")
	w.directive("client_header_timeout", "15s")
	w.directive("client_body_timeout", "30s")
	w.directive("client_body_buffer_size", "16k")
	r.accessLog()
	r.tls()
	r.lua()
	r.maps()
	r.proxy()
	r.limits()
	for _, pool := range r.m.Pools {
		r.pool(pool)
	}
	r.status()
	r.plainHosts()
	for _, h := range r.m.Hosts {
		if !h.plain() {
			r.host(h)
		}
	}
}

// hashes sizes the tables of names. A DNS name is at most 253 bytes, and a
// bucket must hold one.
func (r *renderer) hashes() {
	size := 4096
	for size < 4*len(r.m.Hosts) {
		size *= 2
	}
	for _, table := range []string{"server_names", "map"} {
		r.w.directive(table+"_hash_bucket_size", "512")
		r.w.directive(table+"_hash_max_size", strconv.Itoa(size))
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

// lua loads endpoints.lua, which the controller puts beside the configuration.
func (r *renderer) lua() {
	w := &r.w
	w.directive("lua_package_path", r.path("?.lua")+";/usr/share/lua/5.1/?.lua;;")
	w.directive("lua_shared_dict", "endpoints", "16m")
	// 5,000 hosts with two endpoints each, which answer in three ways, fill half.
	w.directive("lua_shared_dict", "counts", "32m")
	w.directive("log_by_lua", `require("endpoints").count()`)
	w.directive("init_by_lua", `require("endpoints").generation = `+strconv.Itoa(r.m.Generation))
}

func (r *renderer) maps() {
	w := &r.w
	table := func(source, name, fallback string, rows ...[2]string) {
		w.block("map", []string{source, name}, func() {
			w.directive("default", fallback)
			for _, row := range rows {
				w.directive(quote(row[0]), row[1])
			}
		})
	}
	// The host that a request was routed by, and its port. What a Host field says
	// besides never reaches an application: RFC 9112, section 3.2.2. A client of
	// HTTP/1.0 may name none.
	table("$host $http_host", "$field_port", "", [2]string{`~*^(\S+) \1(?<field_port_>:[0-9]{1,5})$`, "$field_port_"})
	table("$host $request", "$target_port", "$field_port",
		[2]string{`~*^(\S+) [A-Z]+ https?://\1(?<target_port_>:[0-9]{1,5})?(?:[/?]| HTTP/)`, "$target_port_"})
	table("$host", "$routed_host", "$host$target_port", [2]string{"", "$server_addr:$server_port"})
	// Only WebSockets are tunnelled: what else a connection is upgraded to would
	// carry requests that nothing here has routed. No Connection header at all
	// keeps upstream connections alive.
	table("$http_upgrade", "$tunnel", "", [2]string{"~*^websocket$", "websocket"})
	table("$tunnel", "$connection_upgrade", "", [2]string{"websocket", "upgrade"})
	table("$status", "$upgraded", "", [2]string{"101", "websocket"})
	table("$http_x_request_id", "$forwarded_request_id", "$request_id",
		[2]string{"", "$request_id"}, // found before any pattern is tried
		[2]string{`~^[A-Za-z0-9._-]{1,128}$`, "$http_x_request_id"})
	// The address of a client that sends a body.
	var bodiless [][2]string
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "DELETE"} {
		bodiless = append(bodiless, [2]string{method + ":", ""}, [2]string{method + ":0", ""})
	}
	table("$request_method:$http_content_length$http_transfer_encoding", "$sender", "$binary_remote_addr", bodiless...)
}

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

// limits bounds how many bodies one client has under way, and makes the zones of
// the Ingresses' own limits.
func (r *renderer) limits() {
	w := &r.w
	w.directive("limit_conn_status", "503")
	w.directive("limit_conn_zone", "$sender", "zone=bodies:2m")
	if most := r.m.Settings.BodiesPerClient; most > 0 {
		w.directive("limit_conn", "bodies", strconv.Itoa(most))
	}
	for _, l := range r.m.Limits {
		w.directive("limit_req_zone", l.Key, "zone="+l.Zone+":"+l.Size, "rate="+l.Rate)
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
		w.directive("balancer_by_lua_file", r.path("balance.lua"))
		w.directive("keepalive", strconv.Itoa(p.Idle))
		w.directive("keepalive_requests", "10000")
		// Below the 5 s of Node.js, the shortest in common use: an upstream
		// that closes first may do so while a POST is on its way.
		w.directive("keepalive_timeout", "4s")
	})
}

func poolName(name string) string { return "endpoints." + name }

// status answers the controller on a socket in its own folder.
func (r *renderer) status() {
	w := &r.w
	w.block("server", nil, func() {
		w.directive("listen", "unix:"+r.m.Settings.StatusSocket())
		w.directive("access_log", "off")
		w.block("location", []string{"=", "/generation"}, func() {
			w.directive("return", "200", strconv.Itoa(r.m.Generation))
		})
		w.block("location", []string{"=", "/stub_status"}, func() { w.directive("stub_status") })
		w.block("location", []string{"=", "/counts"}, func() {
			w.directive("content_by_lua", `require("endpoints").counts()`)
		})
		w.block("location", []string{"=", "/endpoints"}, func() {
			w.directive("client_max_body_size", "4m")
			w.directive("client_body_buffer_size", "4m") // never on the disk
			w.directive("content_by_lua", `require("endpoints").feed()`)
		})
	})
}
