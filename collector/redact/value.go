package redact

import "strings"

// value returns where the value is that begins behind a separator.
func value(text string, name, at int, by separator, k kind) (from, to int) {
	if at >= len(text) || strings.HasPrefix(text[at:], Mark) {
		return 0, 0
	}
	if by == element {
		return inElement(text, at)
	}
	if strings.HasPrefix(text[at:], "{{ ") {
		return 0, 0 // a template's
	}
	// Go and PHP print the type before a value.
	at += len(typeOf(text[at:]))
	if at >= len(text) {
		return 0, 0
	}
	if close := strings.IndexByte("[{(", text[at]); close >= 0 && (by == equals || by == colon) {
		to := balanced(text, at)
		if k == several && isCounts(text[at:to]) {
			return 0, 0
		}
		if text[at] == '{' && to+1 < len(text) && (isAlphanumeric(text[to+1]) || strings.HasPrefix(text[to+1:], Mark)) {
			// LDAP's {SSHA}x
			from, to := inside(text, to+1, len(text))
			return from, min(to, unquoted(text, name, from, by, k))
		}
		return inside(text, at+1, to)
	}
	// Some("x"), SecretStr('x'), Secret { inner: "x" }
	if call := at + len(constructor(text[at:])); call > at && by != blank {
		if text[call] == '{' {
			return at, min(len(text), balanced(text, call)+1)
		}
		return inside(text, call+1, balanced(text, call))
	}
	if start := literal(text, at); start >= 0 {
		slashes := skip(text, start, `\`)
		quote := text[start : slashes+1]
		from = slashes + 1
		// As in CSV, and Python's long strings.
		double := from
		for strings.HasPrefix(text[double:], quote) {
			double += len(quote)
		}
		if more := double - from; more > 0 && double < len(text) && isAlphanumeric(text[double]) {
			if n := strings.Index(text[double:], text[start:double]); n >= 0 {
				return double, double + n
			}
		}
		to = from + quoted(text[from:], quote)
		// Terraform says what it changes: "x" -> "y".
		if changed, ok := strings.CutPrefix(text[min(len(text), to+len(quote)):], " -> "+quote); ok {
			to = len(text) - len(changed) + quoted(changed, quote)
		}
		return from, to
	}
	return at, unquoted(text, name, at, by, k)
}

// isCounts reports whether a list has numbers alone, with or without names.
func isCounts(list string) bool {
	for element := range strings.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune("[{()}],: \t\r\n", r) }) {
		name := element[:strings.IndexByte(element, '=')+1]
		if number := element[len(name):]; strings.Trim(number, "0123456789.") != "" && !strings.Contains(list, element+":") {
			return false
		}
	}
	return true
}

// constructor returns the name that a value in brackets has before it.
func constructor(text string) string {
	end := 0
	for end < len(text) && (is(text[end], letter|inWord) || text[end] == ':') {
		end++
	}
	if end == 0 || end+1 >= len(text) {
		return ""
	}
	if text[0] >= 'A' && text[0] <= 'Z' {
		// JavaScript says how many there are, too: Map(1) { 'a' => 'x' }
		count := end
		if text[end] == '(' {
			count = skip(text, end+1, "0123456789")
			count = skip(text, count, ")")
		}
		if brace := skip(text, count, " +"); brace < len(text) && text[brace] == '{' {
			return text[:brace]
		}
	}
	if text[end] != '(' {
		return ""
	}
	if first := skip(text, end+1, " \t\r\n"); first == len(text) || strings.IndexByte("\"'\\[", text[first]) < 0 {
		return ""
	}
	return text[:end]
}

// inElement is up to the next tag, or what a section of characters has.
func inElement(text string, at int) (from, to int) {
	const data = "<![CDATA["
	end := "<"
	from = at
	if strings.HasPrefix(text[at:], data) {
		from, end = at+len(data), "]]>"
	}
	from = skip(text, from, " \t\r\n")
	// <password><value>x</value></password>
	if tag := strings.IndexByte(text[from:], '>'); tag > 1 && text[from] == '<' && is(text[from+1], letter) && text[from+tag-1] != '/' {
		from = skip(text, from+tag+1, " \t\r\n")
	}
	if n := strings.Index(text[from:], end); n >= 0 {
		return from, from + n
	}
	return from, len(text)
}

// inside leaves the mark alone that stands in a list.
func inside(text string, from, to int) (int, int) {
	if strings.HasPrefix(text[from:], Mark) {
		return 0, 0
	}
	return from, to
}

// typeOf returns the type that a value in Go's syntax begins with, or in that of
// PHP's dumps.
func typeOf(text string) string {
	for _, of := range []string{"[]string", "[]interface {}", "map[string]string", "map[string]interface {}", "[]any", "map[string]any", "[]uint8", "[]byte"} {
		if strings.HasPrefix(text, of+"{") {
			return of
		}
	}
	for _, of := range []string{"array (", "[Object: null prototype] {", "%{"} {
		if strings.HasPrefix(text, of) {
			return of[:len(of)-1]
		}
	}
	// Haskell's Just "x", and R's
	for _, of := range []string{"Just", "chr"} {
		if at := skip(text, len(of), " +"); strings.HasPrefix(text, of) && at > len(of) && literal(text, at) == at {
			return text[:at]
		}
	}
	if strings.HasPrefix(text, `<<"`) || strings.HasPrefix(text, `<<\`) {
		return "<<"
	}
	// (string) (len=1) "x"
	if rest, ok := strings.CutPrefix(text, "(string) (len="); ok {
		digits := skip(rest, 0, "0123456789")
		if strings.HasPrefix(rest[digits:], ") ") {
			return text[:len("(string) (len=")+digits+len(") ")]
		}
	}
	if rest, ok := strings.CutPrefix(text, "string("); ok {
		digits := skip(rest, 0, "0123456789")
		if strings.HasPrefix(rest[digits:], ") ") {
			return text[:len("string(")+digits+len(") ")]
		}
	}
	return ""
}

// balanced returns where a bracket is closed, or the text ends. What is quoted in
// between does not count, unless the quotes themselves do not match.
func balanced(text string, at int) int {
	if end := closing(text, at, true); end >= 0 {
		return end
	}
	if end := closing(text, at, false); end >= 0 {
		return end
	}
	return len(text)
}

func closing(text string, at int, quotes bool) int {
	depth := 0
	for i := at; i < len(text); i++ {
		switch c := text[i]; c {
		case '[', '{', '(':
			depth++
		case ']', '}', ')':
			if depth--; depth == 0 {
				return i
			}
		case '"', '\'':
			if !quotes {
				continue
			}
			slashes := i
			for slashes > at && text[slashes-1] == '\\' {
				slashes--
			}
			n := quoted(text[i+1:], text[slashes:i+1])
			if i+1+n >= len(text) {
				return -1
			}
			i += n + i + 1 - slashes
		}
	}
	return -1
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

// unquoted returns where a value ends that has no quotes around it. What may end
// it is taken as a part of it where the text goes on behind as a value does.
func unquoted(text string, name, at int, by separator, k kind) int {
	enclosing, opened := around(text, name)
	most := 1
	switch {
	case k == header:
		most = len(text)
	case by == colon || by == equals && opened && inFields(text[at:]):
		most = 6
	}
	for i := at; i < len(text); {
		c := text[i]
		switch {
		case c == '\n' || c == '\r':
			return i
		case c == ' ' || c == '\t':
			next := skip(text, i, " \t")
			if k == header && by == colon && strings.Trim(text[at:i], schemeLetters) == "" && i-at <= len("AWS4-HMAC-SHA256") {
				i = next // the name of an authorization scheme
				continue
			}
			if k == header && by == equals && text[i-1] != ';' && text[i-1] != ',' && i-at > len("AWS4-HMAC-SHA256") {
				return i
			}
			most--
			if most == 0 || next == len(text) || endsAt(text, next, k) {
				return i
			}
			i = next
			continue
		case c == '\\':
			quote := skip(text, i, `\`)
			if quote == len(text) {
				return quote
			}
			if strings.IndexByte("nrt", text[quote]) >= 0 {
				return i
			}
			if text[quote] == '"' || text[quote] == '\'' {
				if text[quote] == enclosing || !goesOn(text, quote+1) {
					return i
				}
			}
			i = quote
		case c == '"' || c == '\'' || c == '`':
			if c == enclosing || !goesOn(text, i+1) && k != header {
				return i
			}
		case c == '&' || c == ',' || c == ';':
			next := skip(text, i+1, " \t")
			if k == header && c != '&' {
				if next > i+1 && endsAt(text, next, k) {
					return i
				}
				break
			}
			if next > i+1 || next == len(text) || isAssignment(text[next:]) || strings.IndexByte(`"'\`, text[next]) >= 0 {
				return i
			}
		case c == ')' || c == ']' || c == '}' || c == '>':
			if !goesOn(text, i+1) {
				return i
			}
		case c == '<':
			if strings.HasPrefix(text[i:], "</") || strings.HasPrefix(text[i:], "<br") {
				return i
			}
		}
		i++
	}
	return len(text)
}

// goesOn reports whether a value goes on behind a quote or a bracket.
func goesOn(text string, at int) bool {
	return at < len(text) && strings.IndexByte(" \t\r\n,;:.)]}>\"'`\\<|&", text[at]) < 0
}

// around returns the quote that a name stands within on its line, and whether a
// bracket is open there.
func around(text string, name int) (quote byte, opened bool) {
	depth := 0
	before := text[max(0, name-far):name]
	for _, c := range []byte(before[strings.LastIndexByte(before, '\n')+1:]) {
		switch c {
		case '"', '\'', '`':
			if quote == 0 {
				quote = c
			} else if quote == c {
				quote = 0
			}
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			depth = max(0, depth-1)
		}
	}
	return quote, depth > 0
}

// inFields tells {password=a b, user=c}, where values have blanks, from others.
func inFields(text string) bool {
	end := strings.IndexAny(text, "}])\n=")
	return end >= 0 && (text[end] != '=' && text[end] != '\n' || strings.Contains(text[:end], ", "))
}

// endsAt reports whether what follows a blank is not of the value any more: the
// next name, or the rest of the sentence.
func endsAt(text string, at int, k kind) bool {
	rest := text[at:]
	if k == header {
		// A cookie's own parts have equals signs.
		return isNameOf(rest, ":")
	}
	if isAssignment(rest) || strings.IndexByte("|/-([{<\"'=+,;#)]}>", rest[0]) >= 0 {
		return true
	}
	end := strings.IndexAny(rest, " \t\r\n,;)]}")
	if end < 0 {
		end = len(rest)
	}
	return isVerdict(rest[:end]) || isJoining(rest[:end])
}

// isAssignment reports whether a text begins with a name and a separator.
func isAssignment(text string) bool { return isNameOf(text, ":=") }

func isNameOf(text, separators string) bool {
	at := skip(text, 0, "\"'\\`:")
	if at == len(text) || !is(text[at], letter|other) {
		return false
	}
	for at < len(text) && (isWord(text[at]) || text[at] == '[' || text[at] == ']') {
		at++
	}
	at = skip(text, at, "\"'\\`")
	return at < len(text) && strings.IndexByte(separators, text[at]) >= 0
}

// literal returns where a quoted text begins, behind the letter of Python's and of
// Rust's bytes, or -1.
func literal(text string, at int) int {
	start := skip(text, at, "ubrUBR")
	if start-at > 2 {
		return -1
	}
	quote := skip(text, start, `\`)
	if quote < len(text) && (text[quote] == '"' || text[quote] == '\'') {
		return start
	}
	return -1
}
