// Package redact takes secrets and e-mail addresses out of text: values whose
// name says that they are secret, credentials of HTTP's authorization schemes,
// JSON web tokens, passwords in URLs.
//
// It is on the way of every line, so it has no regular expression: it looks for
// the few characters that these have in common, which the processor finds
// quickly, and reads on from there.
package redact

import "strings"

// Mark stands where a secret was.
const Mark = "[redacted]"

// marks are what every secret that is found has one of: in or around it, or in
// its beginning.
var marks = [256]bool{'=': true, ':': true, '@': true, '%': true, ' ': true, 'J': true}

// Possible reports whether there may be a secret in a text, quickly.
func Possible[T string | []byte](text T) bool {
	for i := range len(text) {
		if marks[text[i]] {
			return true
		}
	}
	return false
}

// Text returns the text without its secrets, which is the same string when it
// had none.
func Text(text string) string {
	if !Possible(text) {
		return text
	}
	if strings.IndexByte(text, '=') >= 0 || strings.IndexByte(text, ':') >= 0 {
		text = values(text)
	}
	if strings.Contains(text, "://") {
		text = userinfo(text)
	}
	text = schemes(text)
	if strings.Contains(text, "eyJ") {
		text = tokens(text)
	}
	if strings.IndexByte(text, '@') >= 0 || strings.Contains(text, "%40") {
		text = addresses(text)
	}
	return text
}

// cuts collects the parts of a text that are to be replaced, in their order.
type cuts struct {
	text string
	done int
	b    strings.Builder
}

// cut replaces text[from:to], unless it is marked already.
func (c *cuts) cut(from, to int) {
	if from < c.done || from >= to || strings.HasPrefix(c.text[from:], Mark) {
		return
	}
	c.b.WriteString(c.text[c.done:from])
	c.b.WriteString(Mark)
	c.done = to
}

func (c *cuts) String() string {
	if c.done == 0 {
		return c.text
	}
	c.b.WriteString(c.text[c.done:])
	return c.b.String()
}

// userinfo redacts the user and password of URLs: "postgres://app:x@db/app".
func userinfo(text string) string {
	c := cuts{text: text}
	for at := 0; ; {
		found := strings.Index(text[at:], "://")
		if found < 0 {
			return c.String()
		}
		begin := at + found + len("://")
		end := begin
		for end < len(text) && !strings.ContainsRune("/?#\"'\\<> \t\r\n", rune(text[end])) {
			end++
		}
		if last := strings.LastIndexByte(text[begin:end], '@'); last > 0 && strings.IndexByte(text[begin:begin+last], ':') >= 0 {
			c.cut(begin, begin+last)
		}
		at = begin
	}
}

// schemes redacts what follows the names of HTTP's authorization schemes, where
// it looks like a credential.
func schemes(text string) string {
	for _, scheme := range []string{"earer ", "asic ", "oken "} {
		if strings.Contains(text, scheme) {
			text = credentials(text, scheme)
		}
	}
	return text
}

// credentials redacts after a scheme, whose first letter may be of either case.
func credentials(text, scheme string) string {
	c := cuts{text: text}
	for at := 0; ; {
		found := strings.Index(text[at:], scheme)
		if found < 0 {
			return c.String()
		}
		begin := at + found + len(scheme)
		end := begin
		for end < len(text) && isCredential(text[end]) {
			end++
		}
		if looksSecret(text[begin:end]) {
			c.cut(begin, end)
		}
		at = begin
	}
}

// looksSecret tells credentials from the words of a sentence.
func looksSecret(word string) bool {
	return len(word) >= 16 || len(word) >= 6 && strings.ContainsAny(word, "0123456789=")
}

// isCredential reports the characters of RFC 7235's token68.
func isCredential(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~+/=", c) >= 0
}

// tokens redacts JSON web tokens (RFC 7519). Their header begins with {" and so,
// in base64, with eyJ.
func tokens(text string) string {
	c := cuts{text: text}
	for at := 0; ; {
		found := strings.Index(text[at:], "eyJ")
		if found < 0 {
			return c.String()
		}
		begin := at + found
		end, dots := begin, 0
		for end < len(text) && (isAlphanumeric(text[end]) || text[end] == '-' || text[end] == '_' || text[end] == '.') {
			if text[end] == '.' {
				dots++
			}
			end++
		}
		if dots >= 1 && end-begin >= 16 {
			c.cut(begin, end)
		}
		at = max(end, begin+3)
	}
}

// addresses redacts e-mail addresses, also with the @ that a query escapes.
func addresses(text string) string {
	c := cuts{text: text}
	for at := 0; at < len(text); at++ {
		width := 1
		switch {
		case text[at] == '@':
		case strings.HasPrefix(text[at:], "%40"):
			width = 3
		default:
			continue
		}
		begin := at
		for begin > c.done && (isAlphanumeric(text[begin-1]) || strings.IndexByte("._%+-", text[begin-1]) >= 0) {
			begin--
		}
		end, dot := at+width, 0
		for end < len(text) && (isAlphanumeric(text[end]) || text[end] == '-' || text[end] == '.') {
			if text[end] == '.' && end+1 < len(text) && isAlphanumeric(text[end+1]) {
				dot = end
			} else if text[end] == '.' {
				break
			}
			end++
		}
		if begin < at && dot > 0 && end-dot > 2 {
			c.cut(begin, end)
			at = end - 1
		}
	}
	return c.String()
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
