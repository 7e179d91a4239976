package ingress

import (
	"path/filepath"
	"strconv"
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

func (r *renderer) main() {
	w, s := &r.w, r.m.Settings
	for _, module := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
		w.directive("load_module", filepath.Join(s.Modules, module))
	}
	w.directive("daemon", "off")
	w.directive("pid", r.m.Settings.path("nginx.pid"))
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
		w.directive(kind+"_temp_path", r.m.Settings.path(kind))
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
		`"request_id":"$forwarded_request_id","client":"$remote_addr","method":"$request_method","host":"$host","path":"$asked_path",`+
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
	w.directive("lua_package_path", r.m.Settings.path("?.lua")+";/usr/share/lua/5.1/?.lua;;")
	w.directive("lua_shared_dict", "endpoints", "16m")
	// 5,000 hosts with two endpoints each, which answer in three ways, fill half.
	w.directive("lua_shared_dict", "counts", "32m")
	// A global of all phases: it costs each of them less than require does.
	w.directive("init_by_lua", `endpoints = require("endpoints") endpoints.generation = `+strconv.Itoa(r.m.Generation))
	w.directive("log_by_lua", "endpoints.count()")
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
	table("$host $http_host $request", "$routed_host", "$host",
		[2]string{`~*^(\S+) \1(?<field_port>:[0-9]{1,5})? \S+ [/*]`, "$host$field_port"},
		[2]string{`~*^(\S+) \S* \S+ https?://\1(?<target_port>:[0-9]{1,5})?(?:[/?]| HTTP/)`, "$host$target_port"},
		[2]string{`~^ `, "$server_addr:$server_port"})
	// Only WebSockets are tunnelled: what else a connection is upgraded to would
	// carry requests that nothing here has routed. A stream of HTTP/2 cannot be
	// upgraded (RFC 9113, section 8.6). No Connection header at all keeps upstream
	// connections alive.
	table("$http_upgrade", "$tunnel", "", [2]string{"", ""}, [2]string{"websocket", "$http1_tunnel"})
	table("$server_protocol", "$http1_tunnel", "", [2]string{"HTTP/1.1", "websocket"})
	table("$tunnel", "$connection_upgrade", "", [2]string{"websocket", "upgrade"})
	table("$status", "$upgraded", "", [2]string{"101", "websocket"})
	// Where the path is rewritten, a location keeps here what it was before.
	table("$scheme", "$asked_path", "$uri") // of whatever scheme
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
			w.directive("content_by_lua", "endpoints.counts()")
		})
		w.block("location", []string{"=", "/endpoints"}, func() {
			w.directive("client_max_body_size", "4m")
			w.directive("client_body_buffer_size", "4m") // never on the disk
			w.directive("content_by_lua", "endpoints.feed()")
		})
	})
}
