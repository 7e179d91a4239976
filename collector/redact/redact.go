// Package redact takes secrets and e-mail addresses out of text: values whose
// name says that they are secret in the syntaxes in which programs print them,
// credentials of HTTP's authorization schemes, JSON web tokens, the tokens of
// well-known services, private keys, card numbers, and passwords in URLs.
//
// It is on the way of every line, so it has no regular expression. One pass goes
// from word to word, and what a word may be is told by its last or its first
// letter. The other passes begin with a character that most lines do not have.
package redact

import (
	"encoding/base64"
	"strings"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// marks are kinds of characters that secrets have: in or around them, or in their
// beginning.
type marks uint8

const (
	// behindName are between a name and its value.
	behindName marks = 1 << iota
	// inToken are in the beginnings of tokens that need no name.
	inToken
	inAddress
	inURL
	inEscape
	inPercent
	inHash
)

var marksOf = func() (of [256]marks) {
	for characters, m := range map[string]marks{"= >,([|\t": behindName, ":": behindName | inURL, "-_.Jz": inToken, "@": inAddress, "\x1b\xef&\\": inEscape, "%+": inPercent, "$": inHash} {
		for i := range len(characters) {
			of[characters[i]] |= m
		}
	}
	return of
}()

func marksIn[T string | []byte](text T) (m marks) {
	for i := range len(text) {
		m |= marksOf[text[i]]
	}
	return m
}

// Possible reports whether there may be a secret in a text, quickly.
func Possible[T string | []byte](text T) bool { return marksIn(text) != 0 }

// Text returns the text without its secrets, which is the same string when it
// had none. Colours and needless escapes are gone from a text that had some.
func Text(text string) string {
	m := marksIn(text)
	if m == 0 {
		return text
	}
	const least = 64 << 10
	e := effort{deepest: 8, bytes: least + 16*len(text)}
	return e.redact(text, m)
}

// effort bounds how many encodings around a secret are seen through, and how many
// bytes are looked at for that.
type effort struct{ deepest, bytes int }

// within redacts a text that was decoded.
func (e *effort) within(text string) string {
	if e.deepest == 0 || e.bytes < len(text) {
		return text
	}
	e.bytes -= len(text)
	e.deepest--
	defer func() { e.deepest++ }()
	return e.redact(text, marksIn(text))
}

func (e *effort) redact(text string, m marks) string {
	if m&inEscape != 0 {
		if plain := plain(text); plain != text {
			if without := e.within(plain); without != plain {
				return without
			}
		}
	}
	if m&behindName != 0 {
		text = keys(text)
	}
	if m&inHash != 0 {
		text = hashes(text)
	}
	if m&inURL != 0 {
		text = userinfo(text)
	}
	if m&(behindName|inToken) != 0 {
		text = words(text, m&behindName != 0)
	}
	if m&inAddress != 0 {
		text = addresses(sourceNames(text))
	}
	if m&inPercent != 0 {
		text = e.escaped(text)
	}
	return text
}

// words goes from word to word, and redacts what follows a secret's name, what
// follows an authorization scheme, and what is a token by itself. Without a
// character that stands behind a name there are only tokens.
func words(text string, names bool) string {
	c := cuts{text: text}
	for i := 0; i < len(text); {
		if !isWord(text[i]) {
			i++
			continue
		}
		begin, of := i, uint8(0)
		for i < len(text) && isWord(text[i]) {
			of |= kinds[text[i]]
			i++
		}
		if begin < c.done {
			continue
		}
		if begin > 0 && text[begin-1] == '\\' && i-begin > 1 && strings.IndexByte("nrt", text[begin]) >= 0 {
			begin++ // the escape of a line's end
		}
		if from, to := token(text[begin:i], of&digit != 0); from < to {
			c.cut(begin+from, begin+to)
			continue
		}
		if of&digit != 0 {
			if to := alone(text, begin, i); to > 0 {
				c.cut(begin, to)
				i = max(i, to)
				continue
			}
		}
		if names {
			from, to := secretAt(text, begin, i)
			c.cut(from, to)
			i = max(i, to)
		}
	}
	return c.String()
}

// alone returns where what is a secret by itself ends that a word begins, and that is
// more than a token: base64, a bot's number and token, a payment card's number.
func alone(text string, begin, end int) (to int) {
	switch c := text[begin]; {
	case is(c, digit):
		if n := card(text[begin:]); n > 0 && (begin == 0 || text[begin-1] != '/') {
			return begin + n
		}
	case c == 'A' && isTelegram(text, begin, end):
		return end
	case c == 'e', c == 'L':
		return encoded(text, begin, end)
	}
	return 0
}

// encoded returns where base64 ends that a word begins, of a private key in PEM or
// of JSON with a secret in it.
func encoded(text string, begin, end int) (to int) {
	const pem, object = "LS0tLS1CRUdJTi", "eyJ"
	word := text[begin:end]
	if len(word) < len(pem) || word[0] != pem[0] && word[0] != object[0] || !strings.HasPrefix(word, pem) && !strings.HasPrefix(word, object) {
		return 0
	}
	for to = end; to < len(text) && (isAlphanumeric(text[to]) || strings.IndexByte("+/-_", text[to]) >= 0); {
		to++
	}
	whole := strings.NewReplacer("-", "+", "_", "/").Replace(text[begin:to])
	to = skip(text, to, "=")
	decoded, err := base64.RawStdEncoding.DecodeString(whole[:len(whole)-len(whole)%4])
	if err != nil || len(decoded) == 0 {
		return 0
	}
	if strings.HasPrefix(word, pem) {
		if !strings.Contains(string(decoded), "PRIVATE KEY") {
			return 0
		}
	} else if inside := userinfo(string(decoded)); words(inside, true) == string(decoded) {
		return 0
	}
	return to
}

// secretAt returns where the secret stands that a word begins, or announces.
func secretAt(text string, begin, end int) (from, to int) {
	if kind := kindOf(text[:end], end-begin); kind != notSecret {
		if from, to := valueOf(text, begin, end, kind); from < to {
			return from, to
		}
	}
	if from, to := credentials(text, begin, end); from < to {
		return from, to
	}
	if from, to := argument(text, begin, end); from < to {
		return from, to
	}
	if from, to := option(text, begin, end); from < to && !isVerdict(text[from:to]) {
		return from, to
	}
	return 0, 0
}

// escaped redacts within what is escaped as in a URL's query: the secret may be
// that of another URL.
func (e *effort) escaped(text string) string {
	const ends = " \t\r\n\"'<>\\"
	var b strings.Builder
	done := 0
	for at := strings.IndexAny(text, "%+"); at >= 0 && at < len(text); {
		begin := strings.LastIndexAny(text[done:at], ends) + 1 + done
		end := len(text)
		if n := strings.IndexAny(text[at:], ends); n >= 0 {
			end = at + n
		}
		decoded := unescape(text[begin:end])
		without := decoded
		if decoded != text[begin:end] {
			without = e.within(decoded)
		}
		if strings.IndexByte(without, '+') >= 0 {
			// In a form it is a blank.
			blanks := strings.ReplaceAll(without, "+", " ")
			if again := e.within(blanks); again != blanks {
				without = again
			}
		}
		if without != decoded {
			b.WriteString(text[done:begin])
			b.WriteString(without)
			done = end
		}
		next := strings.IndexAny(text[end:], "%+")
		if next < 0 {
			break
		}
		at = end + next
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}
