package ingress

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxPathLength keeps a quoted path well below the 4096 bytes that NGINX allows
// one parameter.
const maxPathLength = 1024

// pathPattern is a path of RFC 3986, section 3.3.
var pathPattern = regexp.MustCompile(`^/([A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$`)

// route is one path of one rule, checked.
type route struct {
	path    string // decoded; a Prefix other than "/" has no slash at its end
	match   Match
	slash   bool // the Prefix was written with a slash at its end
	backend networkingv1.IngressServiceBackend
}

// parseRoute reads a path, not its backend.
func parseRoute(p networkingv1.HTTPIngressPath, a *annotations) (r route, err error) {
	exact := p.PathType != nil && *p.PathType == networkingv1.PathTypeExact
	written := p.Path
	if written == "" && !exact {
		written = "/"
	}
	r.match = a.match(written, exact)
	if r.match == Regex || r.match == RegexFold {
		r.path = written
		return r, parseExpression(written)
	}
	if r.path, err = decodePath(written); err != nil {
		return route{}, err
	}
	if r.match == Prefix && r.path != "/" {
		r.path, r.slash = strings.CutSuffix(r.path, "/")
	}
	return r, nil
}

// expressionPattern finds what is hardly meant literally: expressions, and /* as
// other clouds' controllers write a Prefix.
var expressionPattern = regexp.MustCompile(`\.\*|\.\+|/\*|\(.*\)|\$$`)

func looksLikeExpression(r route) bool {
	return (r.match == Prefix || r.match == Exact) && expressionPattern.MatchString(r.path)
}

// decodePath returns a path the way NGINX compares it: percent-decoded. It
// refuses what could never match, because NGINX normalizes requests first, and
// what a request could write in more than one way.
func decodePath(path string) (string, error) {
	if !pathPattern.MatchString(path) {
		return "", fmt.Errorf("path %q: want a path of URL characters that begins with /, or annotation %s for a regular expression", path, AnnotationPathRegex)
	}
	if len(path) > maxPathLength {
		return "", fmt.Errorf("path %.40q…: longer than %d bytes", path, maxPathLength)
	}
	if strings.Contains(strings.ToLower(path), "%2f") {
		return "", fmt.Errorf("path %q: an escaped slash cannot be told from a slash", path)
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return "", fmt.Errorf("path %q: %w", path, err)
	}
	for _, c := range []byte(decoded) {
		if c < ' ' || c == 0x7f {
			return "", fmt.Errorf("path %q: control characters are not allowed", path)
		}
	}
	for element := range strings.SplitSeq(strings.Trim(decoded, "/"), "/") {
		if element == "." || element == ".." {
			return "", fmt.Errorf("path %q: . and .. are not allowed", path)
		}
	}
	if strings.Contains(decoded, "//") {
		return "", fmt.Errorf("path %q: empty elements are not allowed", path)
	}
	return decoded, nil
}

// escapePath writes a decoded path as part of a URL. It escapes more than a URL
// needs, "$" above all: the result stands where NGINX expands variables.
func escapePath(path string) string {
	var out strings.Builder
	for _, c := range []byte(path) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

func parseBackend(b networkingv1.IngressBackend) (networkingv1.IngressServiceBackend, error) {
	if b.Service == nil {
		return networkingv1.IngressServiceBackend{}, fmt.Errorf("a backend other than a Service is not supported")
	}
	if problems := validation.IsDNS1123Label(b.Service.Name); len(problems) > 0 {
		return networkingv1.IngressServiceBackend{}, fmt.Errorf("service %q: %s", b.Service.Name, problems[0])
	}
	if port := b.Service.Port; port.Name != "" {
		if problems := validation.IsValidPortName(port.Name); len(problems) > 0 {
			return networkingv1.IngressServiceBackend{}, fmt.Errorf("service %s: port %q: %s", b.Service.Name, port.Name, problems[0])
		}
	} else if port.Number < 1 || port.Number > 65535 {
		return networkingv1.IngressServiceBackend{}, fmt.Errorf("service %s: port %d: want 1 to 65535", b.Service.Name, port.Number)
	}
	return *b.Service, nil
}

// checkHost accepts what Kubernetes does: a DNS name, or one with "*" for its
// first label.
func checkHost(host string) error {
	if host == "" {
		return nil
	}
	check := validation.IsDNS1123Subdomain
	if strings.HasPrefix(host, "*") {
		check = validation.IsWildcardDNS1123Subdomain
	}
	if problems := check(host); len(problems) > 0 {
		return fmt.Errorf("host %q: %s", host, problems[0])
	}
	return nil
}

// coversHost reports whether a name of spec.tls holds for the host of a rule: a
// wildcard stands for exactly one label, RFC 6125 section 6.4.3.
func coversHost(name, host string) bool {
	if name == host {
		return true
	}
	_, parent, found := strings.Cut(host, ".")
	return found && name == "*."+parent
}
