package redact

import "strings"

// verdicts are words that say what is wrong, or right, with something.
var verdicts = set(`must should cannot can't could couldn't can not no is isn't are aren't was wasn't were has hasn't have had
	does doesn't did didn't do invalid expired missing required unknown unexpected unsupported malformed incorrect wrong mismatch
	mismatched failed failure fails error errors denied refused rejected forbidden unauthorized unauthenticated empty blank too
	already exceeded timeout timed eof illegal bad contains lacks needs cancelled canceled unavailable unable revoked found closed
	exists changed updated deleted created rotated removed accepted verified validated valid ok present absent disabled enabled
	loaded unset unreadable reset broken optional deprecated ignored stale expected ensure allowed used may match matches`)

// subjects are what verdicts are about, and the operations that fail.
var subjects = set(`token tokens session secret secrets cookie cookies signature key keys password passwords credential credentials
	certificate value values header field request response context connection file user permission access authentication
	authorization login named the a an this that your it in of for at deadline length format number jwt claim claims audience
	issuer algorithm nonce hash input output data parse get dial read open lookup decode decrypt encrypt verify validation
	unmarshal json base64 tcp http https i/o server client service account database config variable environment and or method
	asn1 x509 tls rpc grpc oauth2 aes rsa ecdsa pq sql bcrypt crypto/bcrypt crypto/rsa strconv.parseint strconv.atoi such string array
	object syntax parsing rotation version quota bearer basic scheme provided supplied specified`)

// placeholders stand where a secret was, or will be; and they are what schemas say of one.
// What says whether a browser sends credentials is none of them, either.
var placeholders = set(`filtered redacted masked hidden protected sensitive omitted removed string integer number boolean
	include same-origin omit`)

// isPlaceholder tells what stands for a secret from the secret: ****, [FILTERED],
// ${DB_PASSWORD}, $1, <your-password>.
func isPlaceholder(value string) bool {
	value = strings.TrimRight(strings.Trim(value, `"'`), ";")
	if strings.Trim(value, "*?•.-") == "" || len(value) >= 3 && strings.Trim(value, "xX") == "" || isVersion(value) {
		return true
	}
	word := strings.ToLower(strings.Trim(value, "<>[](){} "))
	if placeholders[word] || word == "sensitive value" || word == "known after apply" || strings.HasPrefix(word, "redacted ") {
		return true
	}
	switch name, isName := strings.CutPrefix(value, "$"); {
	case isName:
		// A variable of a shell, or the place of a value in a statement.
		return strings.Trim(name, "0123456789") == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_{}:-?") == "" ||
			isIdentifier(name) && (strings.IndexByte(name, '_') >= 0 || IsSecret(name))
	case value[0] == '{' && isIdentifier(word):
		return true
	case value[0] == '<' || value[0] == '{':
		return strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-_ ") == "" && value[0] == '<' || strings.HasPrefix(value, "{{") || strings.HasPrefix(value, "{ .")
	}
	return false
}

// expressions are beginnings of what a program's source has for a secret, which is
// shown in traces.
var expressions = []string{"os.environ", "os.getenv(", "os.Getenv(", "process.env", "import.meta.env", "ENV[", "ENV.fetch(", "System.getenv(", "System.get_env(", "getenv(", "env(",
	"request.", "req.", "params[", "self.", "this.", "settings.", "config.", "secrets.", "$("}

func isExpression(value string) bool {
	for _, begin := range expressions {
		if strings.HasPrefix(value, begin) {
			return true
		}
	}
	return false
}

// isTime tells when something was said of a secret.
func isTime(value string) bool {
	const least = len("2026-01-01T00:00")
	return len(value) >= least && value[4] == '-' && value[7] == '-' && value[13] == ':' && strings.Trim(value, "0123456789-T:.,+Z ") == ""
}

// isVersion tells what a package's version is, "^9.0.2" of "jsonwebtoken".
func isVersion(value string) bool {
	version := strings.TrimLeft(value, "^~>= ")
	return strings.Count(version, ".") == 2 && strings.Trim(version, "0123456789.") == "" && version[0] != '.'
}

// isPlace tells where a secret is from the secret: a file, or a name of Amazon's.
func isPlace(value string) bool {
	if strings.HasPrefix(value, "arn:") || strings.HasPrefix(value, "projects/") {
		return true
	}
	if rest, ok := strings.CutPrefix(value, "/"); ok {
		return strings.Contains(rest, "/") && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789_.-/") == "" && switches(rest) <= 6
	}
	return false
}

// joining words go on with a sentence behind a value.
var joining = set(`for in at from on with by to of as and or but after before because while when if then than via`)

// plainWord is a word without the signs around it, in small letters.
func plainWord(word string) string {
	return strings.ToLower(strings.Trim(word, ".,;:!?()[]{}"))
}

// isWrapping reports whether a word is what Go's packages put before an error: "oidc:".
func isWrapping(word string) bool {
	name, ok := strings.CutSuffix(word, ":")
	return ok && isIdentifier(name)
}

func isVerdict(word string) bool { return verdicts[plainWord(word)] }
func isJoining(word string) bool { return joining[word] }

// isDiagnosis tells what is said about a secret, "token is expired", from the
// secret itself: it begins with a verdict, or with what one is about.
func isDiagnosis(text string) bool {
	if isIdentifier(text) {
		text = strings.ReplaceAll(text, "_", " ") // too_short
	}
	const most = 10
	for range most {
		text = strings.TrimLeft(text, " \t")
		if text == "" {
			return false
		}
		if text[0] == '"' || text[0] == '\'' {
			end := strings.IndexByte(text[1:], text[0])
			if end < 0 {
				return false
			}
			if isDiagnosis(text[1 : 1+end]) {
				return true
			}
			text = strings.TrimLeft(text[end+2:], ",:")
			continue
		}
		end := strings.IndexAny(text, " \t\r\n")
		if end < 0 {
			end = len(text)
		}
		switch word := plainWord(text[:end]); {
		case verdicts[word]:
			return true
		case !subjects[word] && !isWrapping(text[:end]) && !isPlace(strings.TrimRight(text[:end], ":")) && (len(word) > 4 || strings.Trim(word, "0123456789") != ""):
			return false
		}
		text = text[end:]
	}
	return false
}
