package redact

import "strings"

// Kinds of characters.
const (
	letter = 1 << iota
	digit
	// inWord are those between letters of a name: DB_PASSWORD, user.password.
	inWord
	// other is what is not ASCII.
	other
)

var kinds = func() (k [256]uint8) {
	for c := range k {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			k[c] = letter
		case c >= '0' && c <= '9':
			k[c] = digit
		case c == '_' || c == '-' || c == '.':
			k[c] = inWord
		case c >= 0x80:
			k[c] = other
		}
	}
	return k
}()

func is(c byte, kind uint8) bool { return kinds[c]&kind != 0 }

func isAlphanumeric(c byte) bool { return is(c, letter|digit) }

// isWord reports the characters of names and of tokens.
func isWord(c byte) bool { return kinds[c] != 0 }

// isIdentifier reports whether a text may be the name of a field.
func isIdentifier(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// isWords reports whether a text may be a name of several words: ConfigMap, api_key.
func isWords(text string) bool {
	return strings.Trim(text, schemeLetters+"_") == "" && !mixesCase(text)
}

const schemeLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// skip returns where characters of a set end.
func skip(text string, at int, set string) int {
	for at < len(text) && strings.IndexByte(set, text[at]) >= 0 {
		at++
	}
	return at
}

// looksRandom tells a password from a word: letters and digits alternate, or a
// sign stands between them.
func looksRandom(word string, least int) bool {
	return len(word) >= least && (switches(word) >= 1 || len(word) >= 16 && mixesCase(word) || strings.ContainsAny(word, "!#$^*~") && !strings.ContainsAny(word, " "))
}

// switches counts how often letters and digits follow each other.
func switches(word string) (n int) {
	last := uint8(0)
	for i := range len(word) {
		k := kinds[word[i]]
		if k == letter && last == digit || k == digit && last == letter {
			n++
		}
		last = k
	}
	return n
}

// mixesCase reports more than one change from capitals to small letters.
func mixesCase(word string) bool {
	changes := 0
	for i := 1; i < len(word); i++ {
		if a, b := word[i-1], word[i]; is(a, letter) && is(b, letter) && a&0x20 != b&0x20 {
			changes++
		}
	}
	return changes >= 4
}

// isCard reports whether digits without blanks may be a payment card's number.
func isCard(number string) bool {
	if len(number) < 12 || len(number) > 19 || strings.Trim(number, "0123456789") != "" {
		return false
	}
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// set is words of English.
func set(words string) map[string]bool {
	s := map[string]bool{}
	for _, w := range strings.Fields(words) {
		s[w] = true
	}
	return s
}

// far is how much of a text is looked at around a name. A text has no bound; what is
// farther away hardly matters.
const far = 2000
