package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// userinfo redacts the user and password of URLs: "postgres://app:x@db/app".
func userinfo(text string) string {
	c := cuts{text: text}
	for at := 0; ; {
		found := strings.Index(text[at:], "://")
		if found < 0 {
			return c.String()
		}
		begin := at + found + len("://")
		scheme := begin - len("://")
		for scheme > 0 && isWord(text[scheme-1]) {
			scheme--
		}
		if scheme > 0 && text[scheme-1] == '\\' && begin-scheme > len("n://") && strings.IndexByte("nrt", text[scheme]) >= 0 {
			scheme++ // the escape of a line's end
		}
		web := len(text)-scheme > len("http") && strings.EqualFold(text[scheme:scheme+len("http")], "http")
		if from, to := webhook(text[begin:]); web && from < to {
			c.cut(begin+from, begin+to)
		}
		if end := userEnd(text[begin:], web); end > 0 {
			c.cut(begin, begin+end)
		}
		at = begin
	}
}

// webhooks are addresses that let everybody who knows them post messages, with how
// many parts of their paths say whose they are.
var webhooks = []struct {
	host, path string
	known      int
}{
	{"hooks.slack.com", "/services/", 2}, {"hooks.slack.com", "/workflows/", 3}, {"hooks.slack.com", "/triggers/", 2},
	{"discord.com", "/api/webhooks/", 1}, {"discordapp.com", "/api/webhooks/", 1}, {".webhook.office.com", "/webhookb2/", 0},
	{"outlook.office.com", "/webhook/", 0}, {"hooks.zapier.com", "/hooks/catch/", 1}, {"api.telegram.org", "/bot", 0}, {"hc-ping.com", "/", 0},
}

// webhook returns where the secret part of such an address stands, behind its scheme.
func webhook(text string) (from, to int) {
	const longest = 60 // of a host
	slash := strings.IndexByte(text[:min(len(text), longest)], '/')
	if slash < 0 {
		return 0, 0
	}
	for _, w := range webhooks {
		if !strings.HasSuffix(text[:slash], w.host) || !strings.HasPrefix(text[slash:], w.path) {
			continue
		}
		to = len(text)
		if end := strings.IndexAny(text, " \t\r\n\"'`<>?#,)]}\\"); end >= 0 {
			to = end
		}
		from = slash + len(w.path)
		for range w.known {
			next := strings.IndexByte(text[from:to], '/')
			if next < 0 {
				return 0, 0
			}
			from += next + 1
		}
		return from, to
	}
	return 0, 0
}

// userEnd returns where the user and password of an authority end, or none. A
// password ought to escape what separates the parts of a URL, and often does not.
func userEnd(text string, web bool) int {
	authority := strings.IndexAny(text, "/?#\"'\\<>` \t\r\n")
	if authority < 0 {
		authority = len(text)
	}
	whole := strings.IndexAny(text, "\"<>` \t\r\n")
	if whole < 0 {
		whole = len(text)
	}
	at := strings.LastIndexByte(text[:authority], '@')
	host, port, ported := strings.Cut(text[:authority], ":")
	if end := strings.IndexByte(host+":"+port, ']'); ported && strings.HasPrefix(host, "[") && end > 0 {
		// An address of IPv6 has colons of its own.
		host, port, ported = strings.Cut(text[end:authority], ":")
	}
	switch {
	case at < 0 && (!ported || host != "" && strings.Trim(port, "0123456789") == ""):
		// There is a host, and at most a port.
		return 0
	case at < 0 || !web:
		at = lastUser(text[:whole], at)
	}
	if at <= 0 {
		return 0
	}
	user := text[:at]
	if strings.HasPrefix(user, Mark) {
		return 0
	}
	if _, password, _ := strings.Cut(user, ":"); password != "" && isPlaceholder(password) {
		return 0
	}
	if strings.IndexByte(user, ':') >= 0 || web && user != "git" || looksRandom(user, 8) {
		return at
	}
	return 0
}

// lastUser returns the last @ that a host follows, unless another URL begins
// before it.
func lastUser(text string, from int) int {
	if next := strings.Index(text, "://"); next >= 0 {
		text = text[:next]
	}
	for at := len(text); ; {
		if at = strings.LastIndexByte(text[:at], '@'); at <= from {
			return from
		}
		if at+1 < len(text) && (isAlphanumeric(text[at+1]) || text[at+1] == '[') {
			return at
		}
	}
}

// sourceNames redacts the passwords of two more ways to name a database: Go's for
// MySQL, app:x@tcp(db)/app, and Oracle's, jdbc:oracle:thin:app/x@//db/app.
func sourceNames(text string) string {
	for _, network := range []string{"@tcp(", "@unix(", "@tcp6(", "@udp(", "@/"} {
		at := strings.Index(text, network)
		if at < 0 {
			continue
		}
		begin := at
		for begin > 0 && strings.IndexByte(" \t\r\n\"'`=", text[begin-1]) < 0 {
			begin--
		}
		if user := strings.IndexByte(text[begin:at], ':'); user >= 0 && (network != "@/" || strings.IndexByte(text[begin:at], '/') < 0) {
			c := cuts{text: text}
			c.cut(begin+user+1, at)
			text = c.String()
		}
	}
	for _, driver := range []string{"jdbc:oracle:thin:", "jdbc:oracle:oci:"} {
		begin := strings.Index(text, driver)
		if begin < 0 {
			continue
		}
		begin += len(driver)
		end := strings.IndexAny(text[begin:], " \t\r\n\"'")
		if end < 0 {
			end = len(text) - begin
		}
		user, at := strings.IndexByte(text[begin:begin+end], '/'), strings.LastIndexByte(text[begin:begin+end], '@')
		if user >= 0 && user < at {
			c := cuts{text: text}
			c.cut(begin+user+1, begin+at)
			text = c.String()
		}
	}
	return text
}

// addresses redacts e-mail addresses (RFC 6531: in any script).
func addresses(text string) string {
	c := cuts{text: text}
	for at := 0; at < len(text); at++ {
		found := strings.IndexByte(text[at:], '@')
		if found < 0 {
			break
		}
		at += found
		begin := at
		for begin > c.done {
			r, width := utf8.DecodeLastRuneInString(text[c.done:begin])
			quote := r == '\'' && begin < at && begin >= 2 && is(text[begin-2], letter)
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("._%+-!#$*~&", r) && !quote {
				break
			}
			begin -= width
		}
		end := at + 1
		for end < len(text) {
			r, width := utf8.DecodeRuneInString(text[end:])
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '-' && r != '.' || r == utf8.RuneError {
				break
			}
			end += width
		}
		end -= len(text[at+1:end]) - len(strings.TrimRight(text[at+1:end], ".-"))
		if begin < at && end > at+1 && isAddress(text[:begin], text[begin:at], text[at+1:end], text[end:]) {
			c.cut(begin, end)
			at = end - 1
		}
	}
	return c.String()
}

// notDomains are last parts of what has an @ and is no address: systemd's units
// and files.
var notDomains = set(`service socket timer target mount slice scope png jpg jpeg gif svg webp js mjs cjs ts tsx jsx css map json go rb java
	php html txt yaml yml toml lock gz tgz tar log conf`)

// maybeDomains are those that are also countries and other domains: behind a slash
// they are of files.
var maybeDomains = set(`py rs md zip sh so`)

// commonDomains end what is no object of Java.
var commonDomains = set(`com net org edu gov io de uk fr es it nl pl ru cn jp in br au ca ch at be se no dk fi eu us info biz co me dev app`)

// isAddress tells an address from a version (react@18.2.0, chi@v5.0.1), an
// object in Java (Object@5acf9800), a unit (getty@tty1.service) and a place that
// git and ssh name.
func isAddress(before, local, domain, after string) bool {
	if domain == "localhost" {
		return !strings.HasPrefix(after, ":") && !strings.HasPrefix(after, "/")
	}
	first, rest, dotted := strings.Cut(domain, ".")
	if !dotted || first == "" || strings.Contains(domain, "..") || local == "git" {
		return false
	}
	last := rest[strings.LastIndexByte(rest, '.')+1:]
	inPath := strings.HasSuffix(before, "/") || strings.HasSuffix(before, `\`)
	if utf8.RuneCountInString(last) < 2 || notDomains[strings.ToLower(last)] || inPath && maybeDomains[last] || strings.Trim(last, "0123456789") == "" {
		return false
	}
	if version := strings.TrimPrefix(first, "v"); strings.Trim(version, "0123456789") == "" && is(rest[0], digit) {
		return false
	}
	class := local[strings.LastIndexAny(local, ".$")+1:]
	object := class != "" && !commonDomains[strings.ToLower(last)] && class[0] >= 'A' && class[0] <= 'Z' && len(first) <= 8 && strings.Trim(first, "0123456789abcdef") == "" && strings.ContainsAny(first, "0123456789")
	return !object
}
