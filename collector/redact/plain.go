package redact

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// plain returns a text without colours, and with characters in place of the
// escapes that hide names and addresses from the eye of a program: \u0061,
// &#64;, the full-width forms of East Asia.
func plain(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); {
		width, stands := 0, ""
		switch text[i] {
		case '\x1b':
			width = colour(text[i+1:]) + 1
		case '\\':
			width, stands = unicodeEscape(text[i:])
		case '&':
			width, stands = entity(text[i:])
		case '\xef':
			width, stands = fullWidth(text[i:])
		}
		if width == 0 {
			i++
			continue
		}
		b.WriteString(text[done:i])
		b.WriteString(stands)
		i += width
		done = i
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// colour returns how long a control sequence is behind its escape: "[1;31m".
func colour(text string) int {
	if !strings.HasPrefix(text, "[") {
		return 0
	}
	for i := 1; i < len(text); i++ {
		if c := text[i]; c >= '@' && c <= '~' {
			return i + 1
		} else if c < ' ' {
			return 0
		}
	}
	return 0
}

// unicodeEscape reads an escape of what can be printed, or of a whole colour,
// behind any number of backslashes.
func unicodeEscape(text string) (width int, stands string) {
	slashes := len(text) - len(strings.TrimLeft(text, `\`))
	rest := text[slashes:]
	if strings.HasPrefix(rest, "/") {
		return slashes + 1, "/" // as PHP writes JSON
	}
	for _, escape := range []string{"u001b", "u001B", "x1b", "x1B", "033", "e"} {
		if after, ok := strings.CutPrefix(rest, escape); ok {
			if n := colour(after); n > 0 {
				return slashes + len(escape) + n, ""
			}
		}
	}
	digits := 0
	switch {
	case strings.HasPrefix(rest, "u00"):
		digits = len("u00")
	case strings.HasPrefix(rest, "x"): // NGINX's
		digits = len("x")
	}
	if digits == 0 || len(rest) < digits+2 {
		return 0, ""
	}
	c, ok := hex(rest[digits : digits+2])
	width = slashes + digits + 2
	switch {
	case !ok || c < ' ' || c >= 0x7f || c == '\\':
		return 0, ""
	case c == '"':
		// As a quote it needs the backslashes that it had.
		return width, text[:slashes] + `"`
	}
	return width, string(rune(c))
}

// entities are those of HTML and XML that stand in and around names and values.
var entities = map[string]string{
	"&quot;": `"`, "&#34;": `"`, "&#x22;": `"`, "&apos;": "'", "&#39;": "'", "&#x27;": "'",
	"&gt;": ">", "&lt;": "<", "&#62;": ">", "&#60;": "<", "&amp;": "&", "&#38;": "&", "&#64;": "@", "&#x40;": "@", "&commat;": "@",
	"&#61;": "=", "&#x3d;": "=", "&equals;": "=", "&#58;": ":", "&#x3a;": ":", "&colon;": ":",
}

func entity(text string) (width int, stands string) {
	const longest = len("&equals;")
	end := strings.IndexByte(text[:min(len(text), longest)], ';')
	if end < 0 {
		return 0, ""
	}
	if stands, known := entities[strings.ToLower(text[:end+1])]; known {
		return end + 1, stands
	}
	number, ok := strings.CutPrefix(text[:end], "&#")
	if c, err := strconv.Atoi(number); ok && err == nil && c > ' ' && c < 0x7f {
		return end + 1, string(rune(c))
	}
	return 0, ""
}

// fullWidth reads one of U+FF01 to U+FF5E, which are ASCII's in another width.
func fullWidth(text string) (width int, stands string) {
	if len(text) < 3 {
		return 0, ""
	}
	r := rune(text[0]&0x0f)<<12 | rune(text[1]&0x3f)<<6 | rune(text[2]&0x3f)
	if text[1]&0xc0 != 0x80 || text[2]&0xc0 != 0x80 || r < 0xff01 || r > 0xff5e {
		return 0, ""
	}
	return 3, string(r - 0xff01 + '!')
}

// unescape decodes what is escaped by per cent signs (RFC 3986, section 2.1). A
// text that would not be UTF-8 stays as it is.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+3 <= len(text) {
			if c, ok := hex(text[i+1 : i+3]); ok && c != 0 {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	if !utf8.ValidString(b.String()) {
		return text
	}
	return b.String()
}

func hex(digits string) (c byte, ok bool) {
	for i := range len(digits) {
		d := digits[i]
		switch {
		case d >= '0' && d <= '9':
			c = c<<4 | (d - '0')
		case d|0x20 >= 'a' && d|0x20 <= 'f':
			c = c<<4 | (d | 0x20 - 'a' + 10)
		default:
			return 0, false
		}
	}
	return c, true
}
