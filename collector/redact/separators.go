package redact

import "strings"

// separator is what stands between a name and its value.
type separator uint8

const (
	noSeparator separator = iota
	equals                // password=x, "password" => "x", password := x
	colon                 // password: x
	element               // <password>x</password>
	pair                  // ('password', 'x')
	blank                 // --password x
	sentence              // password is x
	attribute             // name="password" value="x"
	beside                // password[x], password "x"
)

// separators are in the order in which they are looked for.
var separators = []struct {
	text string
	is   separator
}{
	{"===", equals}, {"==", equals}, {"=>", equals}, {"->", equals}, {":=", equals}, {"?=", equals}, {"=", equals}, {"::", colon}, {":", colon}, {"→", equals},
}

// separatorAfter returns what follows a name, and where the value begins behind
// it and behind blanks.
func separatorAfter(text string, begin, end int) (at int, by separator) {
	at = end
	if at < len(text) && text[at] == '>' {
		if text[at-1] == '-' {
			return skip(text, at+1, " \t"), equals
		}
		if isElement(text, begin) && !isUsage(text[at+1:]) {
			return at + 1, element
		}
	}
	for at < len(text) {
		c := text[at]
		if c == '"' || c == '\'' || c == '`' || c == ']' || c == '\\' && at+1 < len(text) && strings.IndexByte(`"'\`, text[at+1]) >= 0 {
			at++
		} else if strings.HasPrefix(text[at:], "%5D") || strings.HasPrefix(text[at:], "%5d") || strings.HasPrefix(text[at:], "%22") {
			at += 3
		} else {
			break
		}
	}
	binary := at > end && strings.HasPrefix(text[at:], ">>") && strings.HasSuffix(strings.TrimRight(text[:begin], `"\`), "<<")
	if binary {
		at += len(">>") // Erlang's <<"password">>
	}
	at = visibility(text, at)
	if strings.HasPrefix(text[at:], ")]") {
		at += len(")]") // [Symbol(password)]
	}
	closed := at > end && (text[at-1] == '"' || text[at-1] == '\'')
	tuple := at == end && begin > 0 && text[begin-1] == '{' || binary && strings.HasSuffix(strings.TrimRight(text[:begin], `<"\`), "{")
	after := skip(text, at, " \t")
	rest := text[after:]
	for _, s := range separators {
		if !strings.HasPrefix(rest, s.text) {
			continue
		}
		if s.text == ":" && strings.HasPrefix(rest, "://") {
			return 0, noSeparator
		}
		at = skip(text, after+len(s.text), " \t+")
		if strings.HasPrefix(text[after+len(s.text):], "** ") {
			at = after + len(s.text) + len("** ") // Markdown's
		}
		return nextLine(text, at, s.is), s.is
	}
	if at, ok := columnOf(text, begin, at); ok {
		return at, equals
	}
	if at == end && isNamed(text, begin) {
		// name: PASSWORD, value: x
		if at, ok := attributeValue(text, at); ok {
			return at, attribute
		}
	}
	if key, ok := keyOf(text, end); ok {
		return key, equals
	}
	switch {
	case closed && strings.HasPrefix(rest, ";s:"):
		// PHP's serialize: s:8:"password";s:1:"x";
		digits := skip(text, after+len(";s:"), "0123456789")
		if strings.HasPrefix(text[digits:], ":\"") || strings.HasPrefix(text[digits:], ":\\") {
			return digits + 1, equals
		}
	case closed && text[quotedName(text, begin)-1] == text[at-1]:
		if isNamed(text, quotedName(text, begin)-1) {
			if at, ok := attributeValue(text, at); ok {
				return at, attribute
			}
		}
		if strings.HasPrefix(rest, ",") {
			if at := literal(text, skip(text, after+1, " \t\r\n")); at >= 0 {
				return at, pair
			}
		}
	case tuple && strings.HasPrefix(rest, ","):
		// Erlang's {password,<<"x">>}
		from := skip(text, skip(text, at+1, " \t\r\n"), "<")
		if at := literal(text, from); at >= 0 {
			return at, equals
		}
	case strings.HasPrefix(rest, "</") && begin > 0 && text[begin-1] == '>':
		// <name>password</name><value>x</value>
		if at, ok := nextElement(text, begin, after); ok {
			return at, element
		}
	case isElement(text, begin) && at == end && after > end:
		// <password type="text">
		if close := strings.IndexAny(rest, "<>"); close >= 0 && rest[close] == '>' && !strings.HasSuffix(rest[:close], "/") {
			return after + close + 1, element
		}
	case at == end && strings.HasPrefix(rest, "│"):
		return skip(text, after+len("│"), " "), beside
	case at == end && strings.HasPrefix(rest, "...") && isPassword(text[:end]):
		return skip(text, after, ". "), beside
	case at == end && isPassword(text[:end]) && (strings.HasPrefix(rest, "— ") || strings.HasPrefix(rest, "– ")):
		return skip(text, after+len("—"), " "), beside
	case at == end && strings.HasPrefix(rest, "/") && begin > 0 && text[begin-1] == '/' && after == end && (isPassword(text[:end]) || text[begin:end] == "token") && isKey(rest[1:]):
		return after + 1, beside // GET /reset-password/x
	case at == end && len(rest) > 0 && (rest[0] == '|' || after == end && (rest[0] == '(' || rest[0] == '[')):
		return skip(text, after+1, " \t"), beside
	case at == end && after > end && len(rest) > 0 && (isNetrc(text[:begin]) || isKeyword(text, begin) && literal(text, after) >= 0):
		return after, equals
	case at == end && after > end && len(rest) > 0 && text[begin] != '-' && isPassword(text[:end]) && (text[end] == '\t' || literal(text, after) >= 0 || isStrong(rest)):
		return after, beside
	case at == end && after > end && text[begin] != '-' && (isKey(rest) || text[begin:end] == "PASS" && isStrong(rest) || isSet(text[:begin])):
		return after, beside
	case at == end && after > end && literal(text, after) >= 0 && isStrong(rest[1:]) && (strings.HasSuffix(strings.ToLower(text[:end]), "key") || strings.IndexByte(text[begin:end], '_') >= 0):
		return after, beside
	case at == end && strings.HasPrefix(rest, "{") && after == end && strings.HasSuffix(text[:end], "Cookie"):
		return at, colon
	case at == end && after > end && strings.HasPrefix(rest, "(") && isKey(rest[1:]):
		return after + 1, beside
	case at == end && after > end && len(rest) > 0:
		if text[begin] == '-' || strings.Contains(text[begin:end], "--") {
			// Behind more blanks is a description of it.
			if rest[0] != '-' && after-end < len("   ") {
				return after, blank
			}
			break
		}
		if at, ok := verbs(text, after); ok {
			return at, sentence
		}
	}
	return 0, noSeparator
}

// isSet reports whether a text ends with the word by which a configuration sets what
// comes next: "ENV DB_PASSWORD x", "npm config set //registry.npmjs.org/:_authToken x".
func isSet(before string) bool {
	before = before[:strings.LastIndexByte(before, ' ')+1]
	for _, word := range []string{"ENV ", "SetEnv ", "set -x ", "set -gx ", "setenv ", "proxy_set_header ", "fastcgi_param ", "config set ", "configure set "} {
		if strings.HasSuffix(before, word) {
			return true
		}
	}
	return false
}

// columnOf finds the value of a column in SQL: INSERT INTO users (name, password)
// VALUES ('jake', 'x').
func columnOf(text string, begin, at int) (int, bool) {
	if at == len(text) || text[at] != ',' && text[at] != ')' {
		return 0, false
	}
	before := text[max(0, begin-far):begin]
	open := strings.LastIndexAny(before, "()")
	if open < 0 || before[open] != '(' || !strings.Contains(strings.ToUpper(before[:open]), "INTO ") {
		return 0, false
	}
	close := strings.IndexByte(text[at:], ')')
	if close < 0 {
		return 0, false
	}
	values := skip(text, at+close+1, " \t\r\n")
	if len(text) < values+len("VALUES") || !strings.EqualFold(text[values:values+len("VALUES")], "values") {
		return 0, false
	}
	value := skip(text, values+len("VALUES"), " \t\r\n")
	if value == len(text) || text[value] != '(' {
		return 0, false
	}
	return inList(text, value+1, strings.Count(before[open:], ","))
}

// inList returns where an element of a list in brackets begins, with so many others
// before it.
func inList(text string, at, others int) (int, bool) {
	text = text[:min(len(text), at+far)]
	for range others {
		for at < len(text) && text[at] != ',' {
			switch text[at] {
			case ')':
				return 0, false
			case '(':
				at = balanced(text, at)
			case '"', '\'':
				slashes := at
				for slashes > 0 && text[slashes-1] == '\\' {
					slashes--
				}
				quote := text[slashes : at+1]
				at += quoted(text[at+1:], quote) + len(quote)
			}
			at++
		}
		at++
	}
	at = skip(text, at, " \t\r\n")
	return at, at < len(text)
}

// visibility skips what PHP's dumps say of a property: ["password":protected]=>.
func visibility(text string, at int) int {
	if at == len(text) || text[at] != ':' {
		return at
	}
	const near = 100
	rest := text[at:min(len(text), at+near)]
	for _, is := range []string{":protected]", ":private]"} {
		if end := strings.Index(rest, is); end == 0 || end > 0 && !strings.ContainsAny(rest[:end], " =>") {
			return at + end + len(is)
		}
	}
	return at
}

// keyOf finds what PostgreSQL says of a key, for the names in its brackets:
// "Key (id, token)=(1, x) already exists."
func keyOf(text string, end int) (at int, ok bool) {
	if end == len(text) || text[end] != ')' && text[end] != ',' {
		return 0, false
	}
	const near = 100
	close := strings.IndexByte(text[end:min(len(text), end+near)], ')')
	if close < 0 || !strings.HasPrefix(text[end+close:], ")=(") {
		return 0, false
	}
	return end + close + len(")="), true
}

// nextElement finds the element behind one that names something.
func nextElement(text string, begin, at int) (int, bool) {
	open := strings.LastIndexByte(text[:begin-1], '<')
	if open < 0 || !IsNaming(text[open+1:begin-1]) {
		return 0, false
	}
	const near = 80
	rest := text[at:min(len(text), at+near)]
	if tag := strings.IndexByte(rest, '>'); tag >= 0 {
		if next := skip(rest, tag+1, " \t\r\n"); next < len(rest) && rest[next] == '<' && !strings.HasPrefix(rest[next:], "</") {
			if close := strings.IndexByte(rest[next:], '>'); close > 0 && rest[next+close-1] != '/' {
				return at + next + close + 1, true
			}
		}
	}
	return 0, false
}

// isNetrc reports whether a line of .netrc has come as far as its password:
// "machine api.example.com login app".
func isNetrc(before string) bool {
	const near = 200
	before = before[max(0, len(before)-near):]
	_, after, machine := strings.Cut(before, "machine ")
	return machine && strings.Contains(after, " login ")
}

// isKeyword reports whether a name is a keyword of Clojure's: {:user/password "x"}.
func isKeyword(text string, begin int) bool {
	for begin > 0 && (isWord(text[begin-1]) || text[begin-1] == '/') {
		begin--
	}
	return begin > 0 && text[begin-1] == ':' && (begin == 1 || strings.IndexByte(" {(,[\n", text[begin-2]) >= 0)
}

// quotedName returns where a name in quotes begins that a secret's word ends, and 1
// if nothing is before it: "Jwt:Secret" in .NET, "/production/db/password" at Amazon.
func quotedName(text string, begin int) int {
	for begin > 1 && (isWord(text[begin-1]) || text[begin-1] == ':' || text[begin-1] == '/') {
		begin--
	}
	return max(begin, 1)
}

// nextLine goes on to an indented line where nothing else follows a separator, as
// YAML has it, with or without a sign of a block, and PHP's dumps.
func nextLine(text string, at int, by separator) int {
	sign := at
	if by == colon && sign < len(text) && (text[sign] == '|' || text[sign] == '>') {
		sign = skip(text, sign+1, "+-0123456789")
	}
	line := skip(text, sign, "\r")
	if strings.HasPrefix(text[line:], `\n`) {
		if next := skip(text, line+len(`\n`), " "); next > line+len(`\n`) && next < len(text) {
			return next
		}
	}
	if line < len(text) && text[line] == '\n' {
		if next := skip(text, line+1, " \t"); next > line+1 && next < len(text) {
			return next
		}
	}
	return at
}

// isElement reports whether a name begins an element of XML, maybe behind a prefix.
func isElement(text string, begin int) bool {
	if begin > 0 && text[begin-1] == ':' {
		begin--
		for begin > 0 && isWord(text[begin-1]) {
			begin--
		}
	}
	return begin > 0 && text[begin-1] == '<'
}

// isUsage reports whether what looks like an element is a word to be replaced, as
// what follows it says: "--token <token>  the token".
func isUsage(after string) bool {
	after = after[:min(len(after), far)]
	return (after == "" || strings.IndexByte(" \"'`,;)]|", after[0]) >= 0) && !strings.Contains(after, "</")
}

// isNamed reports whether a quoted word is the value of an attribute that names
// something: name="password".
func isNamed(text string, quote int) bool {
	end := len(strings.TrimRight(text[:quote], " \\"))
	if end == 0 || text[end-1] != '=' && text[end-1] != ':' {
		return false
	}
	end = len(strings.TrimRight(text[:end-1], " \\\"'"))
	begin := end
	for begin > 0 && isAlphanumeric(text[begin-1]) {
		begin--
	}
	return IsNaming(text[begin:end])
}

// IsNaming reports whether a member's value is the name of something whose value
// is in another member: {"name":"password","value":"x"}.
func IsNaming(member string) bool {
	if len(member) > len("attribute") {
		return false
	}
	switch strings.ToLower(member) {
	case "name", "key", "field", "header", "id", "k", "path", "param", "parameter", "column", "label", "setting", "property", "attribute", "variable", "var", "argument", "option":
		return true
	}
	return false
}

// IsValue reports whether a member may have the value of what another one names, or
// what it was and is changed to.
func IsValue(member string) bool {
	if len(member) > len("old_value") {
		return false
	}
	switch strings.ToLower(member) {
	case "value", "old", "new", "input", "before", "after", "content", "oldvalue", "newvalue", "old_value", "new_value", "received", "val", "lhs", "rhs":
		return true
	}
	return false
}

// attributeValue finds the value of what was named: in another attribute, in the
// element, or behind the empty line of a form's part.
func attributeValue(text string, at int) (int, bool) {
	for _, line := range []string{"\r\n\r\n", "\n\n", `\r\n\r\n`, `\n\n`, `\\r\\n\\r\\n`} {
		if strings.HasPrefix(text[at:], line) {
			return at + len(line), true
		}
	}
	if strings.HasPrefix(text[at:], "\r\nContent-Type:") || strings.HasPrefix(text[at:], `\r\nContent-Type:`) {
		for _, line := range []string{"\r\n\r\n", `\r\n\r\n`} {
			if n := strings.Index(text[at:], line); n >= 0 {
				return at + n + len(line), true
			}
		}
	}
	const near = 80
	rest := text[at:min(len(text), at+near)]
	for _, name := range []string{"value", "Value", "content", "val", "v"} {
		found := strings.Index(rest, name)
		if found < 0 || strings.ContainsAny(rest[:found], "<>{}") {
			continue
		}
		after := skip(text, skip(text, at+found+len(name), `"'\`), " ")
		if after < len(text) && (text[after] == '=' || text[after] == ':') {
			return skip(text, after+1, " "), true
		}
	}
	// <input value="x" name="password">
	if open := strings.LastIndexAny(text[:at], "<>{}"); open >= 0 && (text[open] == '<' || text[open] == '{') {
		if found := strings.Index(text[open:at], "value"); found >= 0 {
			after := skip(text, skip(text, open+found+len("value"), `"'\`), " ")
			if after < at && (text[after] == '=' || text[after] == ':') {
				return skip(text, after+1, " "), true
			}
		}
	}
	if end := strings.IndexAny(rest, "<>"); end >= 0 && rest[end] == '>' && !strings.HasSuffix(strings.TrimRight(rest[:end], " "), "/") {
		return at + end + 1, true
	}
	return 0, false
}

// verbs skips what a sentence has between a name and its value: is, changed to.
func verbs(text string, at int) (int, bool) {
	some := false
	for {
		end := at
		for end < len(text) && is(text[end], letter) {
			end++
		}
		switch text[at:end] {
		case "for", "of", "FOR":
			// of whom
			at = skip(text, end, " ")
			for at < len(text) && text[at] != ' ' {
				at++
			}
			some = some || text[at-1] == ':'
			whom := at
			at = skip(text, at, " =")
			some = some || strings.IndexByte(text[whom:at], '=') >= 0
		case "BY", "LIKE", "IN":
			at = skip(text, end, " (")
			return at, literal(text, at) >= 0
		case "is", "was", "are", "to", "now", "has", "been", "changed", "set", "reset", "updated", "set-to", "generated", "lautet", "est", "es", "ist":
			some = true
			at = skip(text, skip(text, end, ":"), " ")
			if at == end {
				return 0, false
			}
		default:
			return at, some && at < len(text)
		}
	}
}

// isType reports whether a text may be a type in a program's source.
func isType(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ<>[]&?'|") == ""
}

// isHeaderLike tells the name of a header or a flag from any other.
func isHeaderLike(name string) bool {
	return name != "" && (name[0] >= 'A' && name[0] <= 'Z' && strings.ContainsAny(name, "-_") || name[0] == '-')
}

// isKey reports whether a text begins with what nobody says of a secret: long, of
// letters and digits in turns, and without the dashes of Kubernetes' names.
func isKey(text string) bool {
	const least = 24
	to := 0
	for to < len(text) && (isAlphanumeric(text[to]) || text[to] == '_') {
		to++
	}
	return (to >= least && switches(text[:to]) >= 4 || isCard(text[:to])) && (to == len(text) || strings.IndexByte(" \t\r\n,;.\"')/?", text[to]) >= 0)
}

// isStrong reports whether a text begins with what nobody says of a password: letters
// and digits in turns, as in no name of an algorithm.
func isStrong(text string) bool {
	to := strings.IndexAny(text, " \t\r\n,;")
	if to < 0 {
		to = len(text)
	}
	word := strings.TrimRight(text[:to], ".:)'\"")
	return len(word) >= 8 && switches(word) >= 3 && !strings.ContainsAny(word, "/.@_-()")
}
