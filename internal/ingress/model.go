package ingress

import "time"

// Model is a whole configuration with every name and value already checked.
type Model struct {
	Settings Settings

	// Generation numbers the configurations of one NGINX process. It tells an
	// answer of the new workers from one of the old.
	Generation int

	// Hosts are sorted by name; the first is always the one without a name,
	// which takes what no other host does.
	Hosts  []Host
	Limits []Limit
	Pools  []Pool

	// Files are certificates, keys and passwords by their path below
	// Settings.Dir. A name carries the hash of its content, so a changed Secret
	// is a changed file.
	Files map[string][]byte

	// Certificates are those that are served, by "NAMESPACE_SECRET". They are no
	// part of the configuration.
	Certificates map[string]Certificate

	// Endpoints are the ready ones of each backend, ADDRESS:PORT, sorted. They
	// are no part of the configuration: NGINX is told of them while it runs.
	Endpoints map[string][]string
}

// Host is the configuration of one host name.
type Host struct {
	Name string // "" for any, "*.example.com" for one label more

	TLS         bool   // some Ingress asks for TLS
	Certificate string // file with chain and key; "" refuses the handshake

	RedirectHTTP      bool // plain HTTP is redirected to HTTPS
	RedirectForwarded bool // so is what a proxy in front received by plain HTTP
	RedirectCode      int

	HSTS            string // Strict-Transport-Security of what is served over TLS
	HSTSBehindProxy bool   // also of what a proxy in front received over TLS

	Locations []Location
}

// Certificate is one that is served.
type Certificate struct {
	Ends time.Time
	// Hosts that it is served for, sorted.
	Hosts []string
}

// Match is how a location's path is compared.
type Match int

const (
	Prefix    Match = iota // every path that begins so
	Exact                  // that path alone
	Regex                  // a regular expression for the beginning of a path
	RegexFold              // the same, whatever the case of its letters
	First                  // a Prefix that goes before expressions
)

// Location is the configuration of one path of a host.
type Location struct {
	Path  string // decoded, beginning with "/"; or a regular expression
	Match Match

	// Status is answered when there is no Backend, with Redirect where it is one.
	Status   int
	Redirect string

	Backend string // key of Model.Endpoints
	Pool    string // name of the Pool whose connections lead to it
	GRPC    bool

	Rewrite string       // takes the place of Path in what the upstream gets; "" keeps it
	Target  string       // takes the place of all of it, with $1 to $9 of the regular expression
	TLS     *UpstreamTLS // nil speaks without TLS
	Sticky  Sticky

	AuthFile, AuthRealm string
	Allow, Deny         []string // networks; with Allow, all others are denied
	Limit               Limit

	Headers    [][2]string // that the upstream gets besides the usual ones
	Directives []Directive
}

// Directive is one of NGINX's, whose parameters come from an allow-list.
type Directive struct {
	Name       string
	Parameters []string
}

// Sticky leads a client back to the endpoint that its cookie names.
type Sticky struct{ Cookie, Attributes string }

// Limit is a rate of requests for each value of a key.
type Limit struct {
	Zone, Key, Size, Rate string
	Burst, Delay          string // "" for none
	NoDelay, DryRun       bool
	LogLevel, Code        string
}

// UpstreamTLS says how a TLS upstream is verified.
type UpstreamTLS struct {
	ServerName  string // that its certificate must carry
	TrustedFile string
}

// Pool holds the idle connections to endpoints that are spoken to in one way:
// those that were verified in one way must not be mixed with others.
type Pool struct {
	Name string
	Idle int // connections that each worker keeps at most
}

// Names of the pools that every configuration has.
const (
	poolHTTP = "http"
	poolGRPC = "grpc"
)
