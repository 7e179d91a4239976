package ingress

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"time"
)

// Settings are the operator's, as opposed to those of an Ingress.
type Settings struct {
	// HTTP and HTTPS are the addresses to listen on.
	HTTP, HTTPS []netip.AddrPort

	// PublicHTTPSPort is the port that redirects name: the one clients reach
	// HTTPS on. 443 is left out of the URL.
	PublicHTTPSPort uint16

	// Dir is an absolute path that belongs to this NGINX alone. The pid file,
	// the temporary files, the certificates and the status socket live in it.
	Dir string

	// TrustedCA is a file of PEM certificates that TLS upstreams are verified
	// against when their Ingress names no Secret of its own.
	TrustedCA string

	// AccessLog is the file that requests are logged to, or "off".
	AccessLog string

	// ShutdownTimeout bounds how long workers of an old configuration may
	// finish their requests and WebSockets.
	ShutdownTimeout time.Duration

	// Workers is the number of NGINX's worker processes, at least 1.
	Workers int

	// UploadDir is where request bodies wait on the disk that do not fit into
	// memory; "" is a folder in Dir. While less than UploadReserve bytes are
	// free there, requests with such bodies get 503.
	UploadDir     string
	UploadReserve uint64

	// BodiesPerClient bounds how many requests with a body one address may have
	// under way, so that slow ones of one client cannot occupy everything. More
	// get 503. 0 is no bound.
	BodiesPerClient int

	// HeaderBuffer is the most that the header of an upstream's response may
	// take, in bytes, where an Ingress says nothing else.
	HeaderBuffer int64

	// Modules is the folder of NGINX's dynamic modules.
	Modules string

	// HTTP2Directive says that NGINX is 1.25.1 or newer, where HTTP/2 is
	// switched on by a directive instead of a parameter of listen.
	HTTP2Directive bool
}

// Defaults for what a Settings needs besides addresses and folders.
const (
	DebianModules          = "/usr/lib/nginx/modules"
	DefaultBodiesPerClient = 512
	DefaultHeaderBuffer    = 16 << 10
	DefaultUploadReserve   = 1 << 30
)

// DebianTrustedCA is where Debian's package ca-certificates keeps its bundle.
const DebianTrustedCA = "/etc/ssl/certs/ca-certificates.crt"

// Validate reports the first setting that cannot be used.
func (s Settings) Validate() error {
	if len(s.HTTP) == 0 || len(s.HTTPS) == 0 {
		return fmt.Errorf("an address for HTTP and one for HTTPS are needed")
	}
	for _, address := range append(append([]netip.AddrPort{}, s.HTTP...), s.HTTPS...) {
		if !address.IsValid() || address.Port() == 0 || address.Addr().Zone() != "" {
			return fmt.Errorf("listen address %q: want ADDRESS:PORT", address)
		}
	}
	if s.PublicHTTPSPort == 0 {
		return fmt.Errorf("the public HTTPS port is missing")
	}
	if !filepath.IsAbs(s.Dir) || !filepath.IsAbs(s.TrustedCA) {
		return fmt.Errorf("folder %q and trusted CA %q: want absolute paths", s.Dir, s.TrustedCA)
	}
	if !filepath.IsAbs(s.Modules) || (s.UploadDir != "" && !filepath.IsAbs(s.UploadDir)) {
		return fmt.Errorf("modules %q and folder for uploads %q: want absolute paths", s.Modules, s.UploadDir)
	}
	if s.Workers < 1 || s.Workers > 1024 {
		return fmt.Errorf("%d workers: want 1 to 1024", s.Workers)
	}
	if s.HeaderBuffer < 1<<10 || s.HeaderBuffer > 64<<10 {
		return fmt.Errorf("header buffer of %d bytes: want 1024 to 65536", s.HeaderBuffer)
	}
	if s.BodiesPerClient < 0 {
		return fmt.Errorf("%d bodies per client: want 0 or more", s.BodiesPerClient)
	}
	if s.ShutdownTimeout < time.Second {
		return fmt.Errorf("shutdown timeout %s: want at least 1s", s.ShutdownTimeout)
	}
	return nil
}

// path is that of a file in NGINX's folder.
func (s Settings) path(name string) string { return filepath.Join(s.Dir, name) }

// StatusSocket is the unix socket on which NGINX answers only the controller:
// /generation, /stub_status and /endpoints.
func (s Settings) StatusSocket() string { return s.path("status.sock") }

// Uploads is the folder for request bodies.
func (s Settings) Uploads() string {
	if s.UploadDir != "" {
		return s.UploadDir
	}
	return s.path("client_body")
}
