package ingress

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"time"
)

// Settings is what the operator decides, as against what an Ingress says.
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

	// HTTP2Directive says that NGINX is 1.25.1 or newer, where HTTP/2 is
	// switched on by a directive instead of a parameter of listen.
	HTTP2Directive bool
}

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
	if s.ShutdownTimeout < time.Second {
		return fmt.Errorf("shutdown timeout %s: want at least 1s", s.ShutdownTimeout)
	}
	return nil
}

// StatusSocket is the unix socket on which NGINX answers the controller alone:
// /generation and /stub_status.
func (s Settings) StatusSocket() string { return filepath.Join(s.Dir, "status.sock") }

// StateLink is the symbolic link that tells workers of a generation whether
// another is about to take over: it leads to StateOpen or to StateDrain beside
// it.
func (s Settings) StateLink(generation int) string {
	return filepath.Join(s.Dir, fmt.Sprintf("state-%d", generation))
}

// Where a StateLink leads: to an empty folder or to an empty file.
const (
	StateOpen  = "open"
	StateDrain = "drain"
)
