package ingress

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// parsers are the annotations that are honoured, in the order in which they are
// read: where two mean the same, the later one holds.
var parsers = []struct {
	name  string
	parse parser
}{
	// Of the Kubernetes community's controller, what is common and has no
	// counterpart, or a plain one, at F5's.
	{"nginx.ingress.kubernetes.io/whitelist-source-range", field(func(a *annotations) *[]string { return &a.allow }, parseNetworks)},
	{"nginx.ingress.kubernetes.io/allowlist-source-range", field(func(a *annotations) *[]string { return &a.allow }, parseNetworks)},
	{"nginx.ingress.kubernetes.io/denylist-source-range", field(func(a *annotations) *[]string { return &a.deny }, parseNetworks)},
	{"nginx.ingress.kubernetes.io/canary", field(func(a *annotations) *bool { return &a.canary }, parseBool)},
	{"nginx.ingress.kubernetes.io/backend-protocol", parseBackendProtocol},
	{"nginx.ingress.kubernetes.io/limit-rps", parseCommunityLimit("s")},
	{"nginx.ingress.kubernetes.io/limit-rpm", parseCommunityLimit("m")},
	{"nginx.ingress.kubernetes.io/permanent-redirect", parseRedirect(301)},
	{"nginx.ingress.kubernetes.io/temporal-redirect", parseRedirect(302)},
	{"nginx.ingress.kubernetes.io/affinity", parseAffinity},
	{"nginx.ingress.kubernetes.io/session-cookie-name", affine("name")},
	{"nginx.ingress.kubernetes.io/session-cookie-max-age", affine("expires")},
	{"nginx.ingress.kubernetes.io/session-cookie-path", affine("path")},
	{"nginx.ingress.kubernetes.io/session-cookie-samesite", affine("samesite")},
	{"nginx.ingress.kubernetes.io/x-forwarded-prefix", parsePrefixHeader},
	{"nginx.ingress.kubernetes.io/use-regex", field(func(a *annotations) *bool { return &a.useRegex }, parseBool)},
	{annotationRewriteTarget, field(func(a *annotations) *string { return &a.rewriteTarget }, parseTarget)},
	{"nginx.ingress.kubernetes.io/app-root", field(func(a *annotations) *string { return &a.appRoot }, parseAppRoot)},
	{"nginx.ingress.kubernetes.io/ssl-redirect", field(func(a *annotations) *bool { return &a.sslRedirect }, parseBool)},
	{annotationForceRedirect, parseForceRedirect},
	{"nginx.ingress.kubernetes.io/proxy-body-size", directive("client_max_body_size", parseOffset)},
	{"nginx.ingress.kubernetes.io/client-body-buffer-size", directive("client_body_buffer_size", parseSize)},
	{"nginx.ingress.kubernetes.io/proxy-connect-timeout", directive("proxy_connect_timeout", parseTimeout)},
	{"nginx.ingress.kubernetes.io/proxy-read-timeout", directive("proxy_read_timeout", parseTimeout)},
	{"nginx.ingress.kubernetes.io/proxy-send-timeout", directive("proxy_send_timeout", parseTimeout)},
	{"nginx.ingress.kubernetes.io/proxy-buffering", directive("proxy_buffering", parseSwitch)},
	{"nginx.ingress.kubernetes.io/proxy-buffer-size", field(func(a *annotations) *int64 { return &a.buffers.first }, parseBuffer)},

	{AnnotationRewrites, parseRewrites},
	{AnnotationSSLServices, parseServices(func(a *annotations) *map[string]bool { return &a.sslServices })},
	{AnnotationGRPCServices, parseServices(func(a *annotations) *map[string]bool { return &a.grpcServices })},
	{"nginx.org/websocket-services", parseServices(nil)}, // every service
	{AnnotationStickyServices, parseSticky},
	{AnnotationTrustedSecret, field(func(a *annotations) *string { return &a.trustedSecret }, parseSecretName)},
	{"nginx.org/mergeable-ingress-type", taken(oneOf("master", "minion"))}, // all of a namespace merge

	{AnnotationRedirectToHTTPS, field(func(a *annotations) *bool { return &a.redirectForwarded }, parseBool)},
	{AnnotationSSLRedirectLegacy, field(func(a *annotations) *bool { return &a.sslRedirect }, parseBool)},
	{AnnotationSSLRedirect, field(func(a *annotations) *bool { return &a.sslRedirect }, parseBool)},
	{AnnotationRedirectCode, field(func(a *annotations) *int { return &a.redirectCode }, parseRedirectCode)},
	{"nginx.org/app-root", field(func(a *annotations) *string { return &a.appRoot }, parseAppRoot)},
	{"nginx.org/hsts", field(func(a *annotations) *bool { return &a.hsts.on }, parseBool)},
	{"nginx.org/hsts-max-age", field(func(a *annotations) *int { return &a.hsts.maxAge }, parseMaxAge)},
	{"nginx.org/hsts-include-subdomains", field(func(a *annotations) *bool { return &a.hsts.subdomains }, parseBool)},
	{"nginx.org/hsts-behind-proxy", field(func(a *annotations) *bool { return &a.hsts.behindProxy }, parseBool)},

	{AnnotationBasicAuthSecret, field(func(a *annotations) *string { return &a.authSecret }, parseSecretName)},
	{"nginx.org/basic-auth-realm", field(func(a *annotations) *string { return &a.authRealm }, parseText)},
	{AnnotationLimitRate, field(func(a *annotations) *string { return &a.limit.rate }, parseRate)},
	{"nginx.org/limit-req-key", field(func(a *annotations) *string { return &a.limit.key }, parseLimitKey)},
	{"nginx.org/limit-req-zone-size", field(func(a *annotations) *string { return &a.limit.size }, parseZoneSize)},
	{"nginx.org/limit-req-burst", field(func(a *annotations) *string { return &a.limit.burst }, between(0, 1000000))},
	{"nginx.org/limit-req-delay", field(func(a *annotations) *string { return &a.limit.delay }, between(0, 1000000))},
	{"nginx.org/limit-req-no-delay", field(func(a *annotations) *bool { return &a.limit.noDelay }, parseBool)},
	{"nginx.org/limit-req-dry-run", field(func(a *annotations) *bool { return &a.limit.dryRun }, parseBool)},
	{"nginx.org/limit-req-log-level", field(func(a *annotations) *string { return &a.limit.logLevel }, oneOf("info", "notice", "warn", "error"))},
	{"nginx.org/limit-req-reject-code", field(func(a *annotations) *string { return &a.limit.code }, between(400, 599))},
	{"nginx.org/limit-req-scale", taken(func(v string) (string, error) { return parseSwitch(v) })}, // there is one replica
	{AnnotationPathRegex, field(func(a *annotations) *string { return &a.pathRegex }, oneOf("case_sensitive", "case_insensitive", "exact"))},

	{AnnotationMaxBodySize, directive("client_max_body_size", parseOffset)},
	{"nginx.org/client-body-buffer-size", directive("client_body_buffer_size", parseSize)},
	{"nginx.org/proxy-connect-timeout", directive("proxy_connect_timeout", parseTimeout)},
	{AnnotationReadTimeout, directive("proxy_read_timeout", parseTimeout)},
	{"nginx.org/proxy-send-timeout", directive("proxy_send_timeout", parseTimeout)},
	{"nginx.org/proxy-buffering", directive("proxy_buffering", parseSwitch)},
	{"nginx.org/proxy-buffers", field(func(a *annotations) *[2]int64 { return &a.buffers.rest }, parseBuffers)},
	{"nginx.org/proxy-buffer-size", field(func(a *annotations) *int64 { return &a.buffers.first }, parseBuffer)},
	{"nginx.org/proxy-busy-buffers-size", field(func(a *annotations) *int64 { return &a.buffers.busy }, parseBuffer)},
	{"nginx.org/proxy-max-temp-file-size", field(func(a *annotations) *int64 { return &a.buffers.file }, parseBytes)},
	{"nginx.org/proxy-next-upstream", parseNextUpstream},
	{"nginx.org/proxy-next-upstream-timeout", directive("proxy_next_upstream_timeout", parseTime)},
	{"nginx.org/proxy-next-upstream-tries", directive("proxy_next_upstream_tries", between(0, 100))},
	{"nginx.org/proxy-hide-headers", parseHeaders("proxy_hide_header")},
	{"nginx.org/proxy-pass-headers", parseHeaders("proxy_pass_header")},
	{"nginx.org/proxy-set-headers", parseSetHeaders},
	{"nginx.org/server-tokens", taken(oneOf("false", "off"))},
}

var parserNames = func() map[string]bool {
	names := map[string]bool{}
	for _, known := range parsers {
		names[known.name] = true
	}
	return names
}()

// hsts is Strict-Transport-Security, RFC 6797.
type hsts struct {
	on, subdomains, behindProxy bool
	maxAge                      int // in seconds
}

var defaultHSTS = hsts{maxAge: 2592000}

func (h hsts) header() string {
	if !h.on {
		return ""
	}
	value := "max-age=" + strconv.Itoa(h.maxAge)
	if h.subdomains {
		value += "; includeSubDomains"
	}
	return value + "; preload"
}

func parseMaxAge(value string) (int, error) { return parseNumber(value, 0, 1<<31-1) }

// limit is a rate of requests.
type limit struct {
	rate, key, size, burst, delay, logLevel, code string
	noDelay, dryRun                               bool
}

var defaultLimit = limit{key: "$binary_remote_addr", size: "1m", logLevel: "error", code: "429"}

var ratePattern = regexp.MustCompile(`^[1-9][0-9]{0,6}r/[sm]$`)

func parseRate(value string) (string, error) {
	value = strings.TrimSpace(value)
	if !ratePattern.MatchString(value) {
		return "", fmt.Errorf("%q: want a rate such as 10r/s or 300r/m", value)
	}
	return value, nil
}

// keyPattern allows the variables that tell requests apart. NGINX makes others
// up from what is not a variable, or fails.
var keyPattern = regexp.MustCompile(`^(\$\{?(binary_remote_addr|remote_addr|request_uri|request_method|uri|host|(http|arg|cookie)_[a-z0-9_]{1,64})\}?[-_:./]?){1,4}$`)

func parseLimitKey(value string) (string, error) {
	if !keyPattern.MatchString(value) || strings.Count(value, "{") != strings.Count(value, "}") || strings.Contains(strings.ReplaceAll(value, "${", ""), "{") {
		return "", fmt.Errorf("%q: want variables such as ${binary_remote_addr}, ${uri}, ${http_NAME}", value)
	}
	return value, nil
}

func parseZoneSize(value string) (string, error) {
	n, err := parseBytes(value)
	if err == nil && (n < 32<<10 || n > 16<<20) {
		err = fmt.Errorf("%q: want between 32k and 16m", value)
	}
	return formatBytes(n), err
}

// buffers are for what an upstream answers, in bytes; 0 keeps the default.
type buffers struct {
	first int64    // holds the header
	rest  [2]int64 // number and size
	busy  int64    // on their way to the client
	file  int64    // on the disk
}

func parseBuffer(value string) (int64, error) {
	if _, err := parseSize(value); err != nil {
		return 0, err
	}
	return parseBytes(value)
}

func parseBuffers(value string) (out [2]int64, err error) {
	number, size, _ := strings.Cut(strings.TrimSpace(value), " ")
	n, err := parseNumber(number, 2, 1024)
	if err != nil {
		return out, fmt.Errorf("%q: want a number and a size such as 8 4k", value)
	}
	bytes, err := parseBuffer(size)
	return [2]int64{int64(n), bytes}, err
}

// directives returns the directives such that NGINX takes them together: the busy
// ones hold any one buffer and leave one free, and a file holds any one.
func (b buffers) directives(headerBuffer int64) []Directive {
	if b == (buffers{}) {
		return nil
	}
	if b.first == 0 {
		b.first = headerBuffer
	}
	if b.rest == [2]int64{} {
		b.rest = [2]int64{16, 8 << 10}
	}
	if b.busy == 0 {
		b.busy = 2 * b.rest[1]
	}
	b.busy = max(b.busy, b.first, b.rest[1])
	b.rest[0] = max(b.rest[0], (b.busy+b.rest[1]-1)/b.rest[1]+1)
	if b.file > 0 {
		b.file = max(b.file, b.first, b.rest[1])
	}
	return []Directive{
		{"proxy_max_temp_file_size", []string{formatBytes(b.file)}},
		{"proxy_buffer_size", []string{formatBytes(b.first)}},
		{"proxy_buffers", []string{strconv.FormatInt(b.rest[0], 10), formatBytes(b.rest[1])}},
		{"proxy_busy_buffers_size", []string{formatBytes(b.busy)}},
	}
}

// parseRewrites reads "serviceName=tea rewrite=/;serviceName=coffee rewrite=/beans/".
func parseRewrites(a *annotations, value string, services map[string]bool) error {
	a.rewrites = map[string]string{}
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(value), ";"), ";") {
		name, target, err := cutService(part, services)
		if err != nil {
			return err
		}
		target, isTarget := strings.CutPrefix(target, "rewrite=")
		if !isTarget || !rewritePattern.MatchString(target) || len(target) > maxPathLength {
			return fmt.Errorf("%q: want rewrite= and a path of URL characters, without $", target)
		}
		a.rewrites[name] = target
	}
	return nil
}

// rewritePattern is a path of RFC 3986 without "$", which would name a
// variable, and ";", which separates rewrites.
var rewritePattern = regexp.MustCompile(`^/([A-Za-z0-9\-._~!&'()*+,=:@/]|%[0-9A-Fa-f]{2})*$`)

// cutService reads "serviceName=tea REST".
func cutService(part string, services map[string]bool) (name, rest string, err error) {
	name, rest, ok := strings.Cut(strings.TrimSpace(part), " ")
	name, isName := strings.CutPrefix(name, "serviceName=")
	if !ok || !isName {
		return "", "", fmt.Errorf("%q: want it to begin with serviceName=SERVICE", part)
	}
	if !services[name] {
		return "", "", fmt.Errorf("service %q is not a backend of this Ingress", name)
	}
	return name, strings.TrimSpace(rest), nil
}

// parseBackendProtocol reads what the community's controller speaks to all
// Services of an Ingress.
func parseBackendProtocol(a *annotations, value string, services map[string]bool) error {
	protocol := strings.ToUpper(strings.TrimSpace(value))
	if _, err := oneOf("HTTP", "HTTPS", "GRPC", "GRPCS")(protocol); err != nil {
		return err
	}
	if strings.HasSuffix(protocol, "S") {
		a.sslServices = services
	}
	if strings.HasPrefix(protocol, "GRPC") {
		a.grpcServices = services
	}
	return nil
}

// parseCommunityLimit reads a number of requests in a unit of time. As there, five
// times as many may come at once, and what exceeds them gets 503.
func parseCommunityLimit(unit string) parser {
	return func(a *annotations, value string, _ map[string]bool) error {
		n, err := parseNumber(value, 0, 1000000)
		if err != nil || n == 0 {
			return err
		}
		if a.limit.rate != "" {
			return fmt.Errorf("%q: want one limit, in seconds or in minutes", value)
		}
		a.limit.rate, a.limit.burst = strconv.Itoa(n)+"r/"+unit, strconv.Itoa(5*n)
		a.limit.noDelay, a.limit.code = true, "503"
		return nil
	}
}

// redirectPattern is a URL, or a path, which the request's may follow.
var redirectPattern = regexp.MustCompile(`^(https?:/)?/[A-Za-z0-9][A-Za-z0-9\-._~!&'()*+,;=:@/?%#]*(\$request_uri)?$`)

func parseRedirect(code int) parser {
	return func(a *annotations, value string, _ map[string]bool) error {
		if !redirectPattern.MatchString(value) || len(value) > maxPathLength {
			return fmt.Errorf("%q: want a URL, and $request_uri at its end at most", value)
		}
		a.redirect, a.redirectStatus = value, code
		return nil
	}
}

// parseAffinity makes all Services of an Ingress sticky, with a cookie of the
// community's controller's name.
func parseAffinity(a *annotations, value string, services map[string]bool) error {
	if _, err := oneOf("cookie")(value); err != nil {
		return err
	}
	a.sticky = map[string]Sticky{}
	for name := range services {
		a.sticky[name] = Sticky{Cookie: "INGRESSCOOKIE", Attributes: "; HttpOnly"}
	}
	return nil
}

// affine makes a parser of what the cookie of parseAffinity is to be. Without
// that there is none.
func affine(what string) parser {
	return func(a *annotations, value string, _ map[string]bool) error {
		value, attribute := strings.TrimSpace(value), ""
		var err error
		if what != "name" {
			attribute, err = cookieAttribute(what + "=" + value)
		} else if !cookiePattern.MatchString(value) {
			err = fmt.Errorf("cookie %q: want at most 64 letters, digits, _ and -", value)
		}
		if err != nil {
			return err
		}
		for service, sticky := range a.sticky {
			if what == "name" {
				sticky.Cookie = value
			} else {
				sticky.Attributes += "; " + attribute
			}
			a.sticky[service] = sticky
		}
		return nil
	}
}

func parsePrefixHeader(a *annotations, value string, _ map[string]bool) error {
	if !rewritePattern.MatchString(value) || len(value) > maxPathLength {
		return fmt.Errorf("%q: want a path of URL characters", value)
	}
	a.headers = append(a.headers, [2]string{"X-Forwarded-Prefix", value})
	return nil
}

// targetPattern is rewritePattern with the groups of a regular expression.
var targetPattern = regexp.MustCompile(`^/([A-Za-z0-9\-._~!&'()*+,=:@/]|\$[1-9])*$`)

func parseTarget(value string) (string, error) {
	value = strings.TrimSpace(value)
	if !targetPattern.MatchString(value) || len(value) > maxPathLength {
		return "", fmt.Errorf("%q: want a path of URL characters and $1 to $9", value)
	}
	return value, nil
}

// parseForceRedirect reads what holds whatever the other switch says.
func parseForceRedirect(a *annotations, value string, _ map[string]bool) error {
	force, err := parseBool(value)
	a.sslRedirect, a.sslForced = a.sslRedirect || force, force
	return err
}

// parseServices makes a parser of "service1,service2".
func parseServices(of func(*annotations) *map[string]bool) parser {
	return func(a *annotations, value string, services map[string]bool) error {
		chosen := map[string]bool{}
		for _, name := range fields(value) {
			if !services[name] && of != nil {
				return fmt.Errorf("service %q is not a backend of this Ingress", name)
			}
			chosen[name] = true
		}
		if of != nil {
			*of(a) = chosen
		}
		return nil
	}
}

// parseSticky reads "serviceName=tea srv_id expires=1h path=/tea;…".
func parseSticky(a *annotations, value string, services map[string]bool) error {
	a.sticky = map[string]Sticky{}
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(value), ";"), ";") {
		service, rest, err := cutService(part, services)
		if err != nil {
			return err
		}
		words := strings.Fields(rest)
		if !cookiePattern.MatchString(words[0]) {
			return fmt.Errorf("cookie %q: want at most 64 letters, digits, _ and -", words[0])
		}
		s := Sticky{Cookie: words[0]}
		for _, word := range words[1:] {
			attribute, err := cookieAttribute(word)
			if err != nil {
				return err
			}
			s.Attributes += "; " + attribute
		}
		a.sticky[service] = s
	}
	return nil
}

var (
	cookiePattern    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	attributePattern = regexp.MustCompile(`^[A-Za-z0-9._~/-]{1,256}$`)
)

func cookieAttribute(word string) (string, error) {
	name, value, _ := strings.Cut(word, "=")
	switch lower := strings.ToLower(name); lower {
	case "httponly":
		return "HttpOnly", nil
	case "secure":
		return "Secure", nil
	case "expires":
		if value == "max" {
			return "Max-Age=315360000", nil
		}
		age, err := parseTime(value)
		if seconds, whole := strings.CutSuffix(age, "s"); err == nil && whole && !strings.HasSuffix(seconds, "m") {
			return "Max-Age=" + seconds, nil
		}
		return "", fmt.Errorf("%q: want expires=TIME in whole seconds", word)
	case "samesite":
		_, err := oneOf("strict", "lax", "none")(strings.ToLower(value))
		return "SameSite=" + value, err
	case "path", "domain":
		if attributePattern.MatchString(value) {
			return strings.ToUpper(lower[:1]) + lower[1:] + "=" + value, nil
		}
	}
	return "", fmt.Errorf("%q: want expires=, path=, domain=, samesite=, httponly or secure", word)
}

func parseRedirectCode(value string) (int, error) {
	if _, err := oneOf("301", "302", "307", "308")(value); err != nil {
		return 0, err
	}
	return strconv.Atoi(value)
}

func parseAppRoot(value string) (string, error) {
	if !rewritePattern.MatchString(value) || len(value) > maxPathLength || value == "/" || strings.HasPrefix(value, "//") {
		return "", fmt.Errorf("%q: want a path of URL characters other than /", value)
	}
	return value, nil
}

func parseSecretName(value string) (string, error) { return value, checkSecretName(value) }

func parseNextUpstream(a *annotations, value string, _ map[string]bool) error {
	words := fields(value)
	for _, word := range words {
		if _, err := oneOf("error", "timeout", "invalid_header", "http_500", "http_502", "http_503", "http_504", "http_403",
			"http_404", "http_429", "non_idempotent", "off")(word); err != nil {
			return err
		}
	}
	if len(words) > 0 {
		a.set("proxy_next_upstream", words...)
	}
	return nil
}

func parseHeaders(directive string) parser {
	return func(a *annotations, value string, _ map[string]bool) error {
		names, err := parseHeaderNames(value)
		for _, name := range names {
			a.directives = append(a.directives, Directive{directive, []string{name}})
		}
		return err
	}
}

// parseSetHeaders reads "X-One:text,X-Two". What has no value is the client's
// own field, which passes anyway.
func parseSetHeaders(a *annotations, value string, _ map[string]bool) error {
	for part := range strings.SplitSeq(value, ",") {
		name, text, found := strings.Cut(strings.TrimSpace(part), ":")
		if _, err := parseHeaderNames(name); err != nil || strings.TrimSpace(name) != name || name == "" {
			return fmt.Errorf("%q: want NAME:VALUE", part)
		}
		text, err := parseText(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		switch strings.ToLower(name) {
		case "host", "connection", "upgrade", "te", "transfer-encoding", "content-length":
			return fmt.Errorf("%q is not an Ingress's to set", name)
		}
		if found {
			a.headers = append(a.headers, [2]string{name, text})
		}
	}
	return nil
}
