package redact

import "strings"

// words end the names of what is secret: password, user.password, DB_PASSWORD,
// accessToken. They are in lower case without separators.
var words = []string{
	"password", "passwd", "pwd", "passphrase", "secret", "token", "jwt",
	"authorization", "cookie", "apikey", "accesskey", "secretkey", "privatekey", "signingkey",
	"credential", "credentials",
}

// longest is how much of a name's end is looked at.
const longest = 24

// IsSecret reports whether what has this name is to be kept secret.
func IsSecret(name string) bool {
	if len(name) < 3 {
		return false
	}
	// Nearly every name is told by its last letter.
	switch name[len(name)-1] | 0x20 {
	case 'd', 'e', 't', 'n', 'y', 'l', 's':
	default:
		return false
	}
	var end [longest]byte
	n := len(end)
	for i := len(name) - 1; i >= 0 && n > 0; i-- {
		switch c := name[i]; {
		case c == '_' || c == '-' || c == '.' || c == ' ':
		case c >= 'A' && c <= 'Z':
			n--
			end[n] = c | 0x20
		default:
			n--
			end[n] = c
		}
	}
	for _, word := range words {
		if len(end)-n >= len(word) && string(end[len(end)-len(word):]) == word {
			return true
		}
	}
	return false
}

// values redacts what stands behind a secret's name and a colon or an equals
// sign, in whatever way the two are quoted: password=x, "token": "x",
// {\"secret\":\"x\"}, Authorization: Token x.
func values(text string) string {
	c := cuts{text: text}
	for i := 0; i < len(text); i++ {
		if text[i] != ':' && text[i] != '=' {
			continue
		}
		name := nameBefore(text, i)
		if !IsSecret(name) {
			continue
		}
		begin, end := valueAfter(text, i+1, endsWith(name, "authorization"), endsWith(name, "cookie"))
		c.cut(begin, end)
		i = max(i, end-1)
	}
	return c.String()
}

// nameBefore returns the name that ends before a separator.
func nameBefore(text string, separator int) string {
	end := separator
	for end > 0 && strings.IndexByte(" \t\"'\\", text[end-1]) >= 0 {
		end--
	}
	begin := end
	for begin > 0 && end-begin < longest && (isAlphanumeric(text[begin-1]) || text[begin-1] == '_' || text[begin-1] == '-' || text[begin-1] == '.') {
		begin--
	}
	return text[begin:end]
}

// valueAfter returns where the value behind a separator begins and ends. A
// header goes on to the end of the line, or the first of its words is a scheme.
func valueAfter(text string, from int, scheme, line bool) (begin, end int) {
	begin = from
	for begin < len(text) && (text[begin] == ' ' || text[begin] == '\t') {
		begin++
	}
	// Lists and objects: Go prints and marshals headers as such, and its %#v has
	// the type before them.
	begin += len(goType(text[begin:]))
	if begin < len(text) && !strings.HasPrefix(text[begin:], Mark) {
		if close := strings.IndexByte("[{", text[begin]); close >= 0 {
			if end := strings.IndexByte(text[begin:], "]}"[close]); end >= 0 {
				return begin + 1, begin + end
			}
		}
	}
	escapes := begin
	for escapes < len(text) && text[escapes] == '\\' {
		escapes++
	}
	if escapes < len(text) && (text[escapes] == '"' || text[escapes] == '\'') {
		quote := text[begin : escapes+1]
		begin = escapes + 1
		return begin, begin + quoted(text[begin:], quote)
	}
	stop := " \t\r\n,;&\"'\\<>)}]"
	if line {
		stop = "\r\n\"'\\"
	}
	end = begin
	word := func() {
		for end < len(text) && strings.IndexByte(stop, text[end]) < 0 {
			end++
		}
	}
	word()
	if scheme && end < len(text) && text[end] == ' ' {
		end++
		word()
	}
	switch text[begin:end] {
	case "null", "nil", "true", "false", "<nil>":
		return begin, begin
	}
	return begin, end
}

// goType returns the type that a value in Go's syntax begins with, which is one
// of those that headers and forms have.
func goType(text string) string {
	for _, of := range []string{"[]string", "[]interface {}", "map[string]string", "map[string]interface {}"} {
		if strings.HasPrefix(text, of+"{") {
			return of
		}
	}
	return ""
}

// quoted returns how long a value is that ends with the same quote as it began.
// Each level of quoting doubles the backslashes of the one below it and adds one
// before a quote, so that their number tells an end from a quote in the value.
func quoted(text, quote string) int {
	level := len(quote) - 1
	for at := 0; ; {
		found := strings.IndexByte(text[at:], quote[level])
		if found < 0 {
			return len(text)
		}
		end := at + found
		backslashes := 0
		for backslashes < end && text[end-backslashes-1] == '\\' {
			backslashes++
		}
		if backslashes%(2*(level+1)) == level {
			return end - level
		}
		at = end + 1
	}
}

func endsWith(name, word string) bool {
	return len(name) >= len(word) && strings.EqualFold(name[len(name)-len(word):], word)
}
