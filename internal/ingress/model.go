package ingress

// Model is a whole configuration with every name and value already checked.
type Model struct {
	Settings Settings

	// Generation numbers the configurations of one NGINX process. It tells an
	// answer of the new workers from one of the old.
	Generation int

	// Hosts are sorted by name; the first is always the one without a name,
	// which takes what no other host does.
	Hosts     []Host
	Upstreams []Upstream

	// Files are certificates and keys by their path below Settings.Dir. A name
	// carries the hash of its content, so a changed Secret is a changed file.
	Files map[string][]byte
}

// Host is what is served under one host name.
type Host struct {
	Name string // "" for any, "*.example.com" for one label more

	TLS         bool   // some Ingress asks for TLS
	Certificate string // file with chain and key; "" refuses the handshake

	RedirectHTTP      bool // plain HTTP is redirected to HTTPS
	RedirectForwarded bool // so is what a proxy in front received by plain HTTP
	RedirectCode      int

	Locations []Location
}

// Location is what one path of a host leads to.
type Location struct {
	Path  string // decoded, beginning with "/"
	Exact bool   // else every path that begins so

	// Status is answered when there is no Upstream.
	Status   int
	Upstream string

	Rewrite string       // takes the place of Path in what the upstream gets; "" keeps it
	TLS     *UpstreamTLS // nil speaks plain HTTP

	// Overrides of the defaults, in NGINX's own syntax; "" keeps the default.
	MaxBodySize, ConnectTimeout, ReadTimeout, SendTimeout string
}

// UpstreamTLS says how a TLS upstream is verified.
type UpstreamTLS struct {
	ServerName  string // that its certificate must carry
	TrustedFile string
}

// Upstream is the ready endpoints of one port of a Service.
type Upstream struct {
	Name    string
	Servers []string // address:port, sorted
}
