package redact

import "strings"

// valueOf returns where the value of a name stands that is at text[begin:end], in
// whichever syntax the two are written.
func valueOf(text string, begin, end int, k kind) (from, to int) {
	at, by := separatorAfter(text, begin, end)
	switch {
	case by == noSeparator, k == assigned && by != equals:
		return 0, 0
	case by == colon && text[begin:end] == "PASS":
		return 0, 0 // a test's
	case by == colon && isNameOfAmazon(text[:begin]), isParser(text[:begin]) && !isKey(text[at:]):
		return 0, 0
	}
	from, to = value(text, begin, at, by, k)
	if from >= to {
		return 0, 0
	}
	if typed := strings.Index(text[from:min(len(text), to+1+len(" = "))], " = "); by == colon && typed > 0 && isType(text[from:from+typed]) {
		// password: String = "x"
		from, to = value(text, begin, skip(text, from+typed+len(" = "), " "), equals, k)
	}
	if from >= to {
		return 0, 0
	}
	found := text[from:to]
	switch {
	case by == colon && IsSecret(found) && begin > 0 && isNamed(text, begin-1):
		return 0, 0 // key="Jwt:Secret"
	case k == assigned:
		asked := begin > 0 && (text[begin-1] == '?' || text[begin-1] == '&')
		if name := text[begin:end]; strings.HasSuffix(strings.ToLower(name), "key") && !(asked && len(name) == len("key") && isKey(found)) {
			return 0, 0 // of a cache, or of an object
		}
		if !looksRandom(found, 8) || !asked && (to-from < 10 || end-begin < len("signature")) {
			return 0, 0
		}
	case by == blank && strings.EqualFold(found, strings.TrimLeft(text[begin:end], "-")):
		return 0, 0 // --password PASSWORD
	case (by == equals || by == colon) && isExpression(text[at:]), k == header && (strings.EqualFold(found, "bearer") || strings.EqualFold(found, "basic")):
		return 0, 0
	case by == beside:
		if !looksRandom(found, 6) && !isCard(found) || strings.HasPrefix(found, "0x") || harmless(found, k) {
			return 0, 0
		}
	case by == sentence:
		if (k == digits || isOnce(text[:end])) && len(found) >= 4 && strings.Trim(found, "0123456789") == "" {
			return from, to
		}
		if !looksRandom(found, 6) && !strings.ContainsAny(text[from-1:from], `"'`) || isVerdict(found) || isTime(found) {
			return 0, 0
		}
	case by == pair && text[max(0, begin-2)] != '(' && !Announces(text[begin:end], found):
		return 0, 0
	case harmless(found, k):
		return 0, 0
	case by == colon && from == at && found[len(found)-1] != '}':
		// What is said of it may go on where a value would not.
		line, _, _ := strings.Cut(text[from:min(len(text), to+far)], "\n")
		word, _, _ := strings.Cut(line, " ")
		if harmless(word, k) || isDiagnosis(line) {
			return 0, 0
		}
	}
	return from, to
}

// Harmless reports whether a value can be shown although its name is one of a
// secret: a count of tokens, a working directory, what is wrong with a password.
func Harmless(name, value string) bool {
	return harmless(value, kindOf(name, len(name)))
}

func harmless(value string, k kind) bool {
	switch value {
	case "", "null", "nil", "true", "false", "<nil>", "None", "True", "False", "undefined", "YES", "NO", "yes", "no", "on", "off", "none", "Nothing", "Optional.empty", "Optional(nil":
		return true
	}
	if isPlaceholder(value) || isPlace(value) || isTime(value) {
		return true
	}
	switch k {
	case several:
		if strings.Trim(value, "0123456789.,+-/% \t\r\n") == "" {
			return true
		}
	case random:
		if !looksRandom(value, 16) || strings.IndexByte(value, ' ') >= 0 && !strings.ContainsAny(value, `"'`) {
			return true
		}
	case digits:
		return len(value) < 4 || len(value) > 8 || strings.Trim(value, "0123456789") != ""
	case payment:
		return !isCard(value)
	case header:
		if strings.Trim(value, "0123456789") == "" {
			return true // how many cookies
		}
		// "Bearer <token>" and "Basic ****"
		if scheme, credential, some := strings.Cut(value, " "); some && strings.Trim(scheme, schemeLetters) == "" && isPlaceholder(strings.TrimLeft(credential, " ")) {
			return true
		}
	case directory:
		if value[0] == '/' || value[0] == '~' {
			return true
		}
	}
	return isDiagnosis(value)
}

// isOnce reports whether a name is one of a password of digits.
func isOnce(name string) bool {
	for _, word := range []string{"otp", "passcode", "verificationcode", "securitycode", "pincode", "pin"} {
		if begin, ok := endsWith(name, word); ok && (len(word) > len("otp") || beginsWord(name, begin) || strings.HasSuffix(strings.ToLower(name), "totp")) {
			return true
		}
	}
	return false
}

// isParser reports whether what comes next is a parser's word for what it reads:
// unexpected token "foo".
func isParser(before string) bool {
	before = strings.ToLower(before[max(0, len(before)-len("unrecognized ")):])
	return strings.HasSuffix(before, "unexpected ") || strings.HasSuffix(before, "unrecognized ")
}

// isNameOfAmazon reports whether a text goes on with a part of one of Amazon's names:
// arn:aws:secretsmanager:eu-west-1:1:secret:x.
func isNameOfAmazon(before string) bool {
	return strings.HasSuffix(before, ":") && strings.HasPrefix(before[strings.LastIndexAny(before, " \t\"'=")+1:], "arn:")
}

// Announces reports whether in a list, of headers or of arguments, the text
// before another one is a name, and the other its secret. In a list of names it
// is not.
func Announces(name, value string) bool {
	return name != "" && IsSecret(name) && (isHeaderLike(name) || !isWords(value)) && !Harmless(name, value)
}
