package redact

import "strings"

// kind is what a name says of its value.
type kind uint8

const (
	notSecret kind = iota
	// secret is a password, a key or a token.
	secret
	// several are more than one: as a number, they are counted.
	several
	// header is a whole line of secrets: Authorization and cookies.
	header
	// assigned is secret only behind an equals sign, as in a URL's query or an
	// authorization.
	assigned
	// directory is pwd, which is also a folder.
	directory
	// random is secret only where the value is no word: auth, but not auth=oidc.
	random
	// digits is secret only as a few of them: pin=4829, but not pin=out.
	digits
	// payment is secret only as the number of a payment card.
	payment
)

// A word ends the names of what is secret: password, user.password, DB_PASSWORD,
// accessToken. It is in lower case without separators.
type word struct {
	text string
	kind kind
	// whole says that it does not end a longer word: otp, but not laptop.
	whole bool
}

var secretWords = []word{
	// These end in others, and come first.
	{text: "existingsecret", kind: notSecret}, {text: "pullsecret", kind: notSecret},
	{text: "neo4jauth", kind: secret}, {text: "rediscliauth", kind: secret},
	{text: "password", kind: secret}, {text: "passwd", kind: secret}, {text: "pwd", kind: secret}, {text: "passphrase", kind: secret},
	{text: "passcode", kind: secret}, {text: "secret", kind: secret}, {text: "token", kind: secret}, {text: "jwt", kind: secret, whole: true},
	{text: "authorization", kind: header}, {text: "cookie", kind: header}, {text: "credential", kind: secret},
	{text: "apikey", kind: secret}, {text: "accesskey", kind: secret}, {text: "secretkey", kind: secret}, {text: "privatekey", kind: secret},
	{text: "signingkey", kind: secret}, {text: "encryptionkey", kind: secret}, {text: "accountkey", kind: secret}, {text: "masterkey", kind: secret},
	{text: "subscriptionkey", kind: secret}, {text: "basicauth", kind: secret}, {text: "authkey", kind: secret}, {text: "sharedkey", kind: secret}, {text: "secretkeybase", kind: secret},
	{text: "sessionid", kind: secret}, {text: "sessid", kind: secret}, {text: "connect.sid", kind: secret}, {text: "csrf", kind: secret, whole: true},
	{text: "pass", kind: several, whole: true}, {text: "dbpass", kind: secret}, {text: "userpass", kind: secret}, {text: "pgpass", kind: secret},
	{text: "otp", kind: secret, whole: true}, {text: "totp", kind: secret, whole: true}, {text: "pincode", kind: secret},
	{text: "cardnumber", kind: secret}, {text: "creditcard", kind: secret}, {text: "cvv", kind: secret, whole: true}, {text: "cvc", kind: secret, whole: true},
	{text: "otpcode", kind: secret}, {text: "verificationcode", kind: secret}, {text: "mfacode", kind: secret}, {text: "recoverycode", kind: secret},
	{text: "auth", kind: random, whole: true}, {text: "salt", kind: random, whole: true},
	{text: "appkey", kind: secret, whole: true}, {text: "licensekey", kind: secret}, {text: "licencekey", kind: secret},
	{text: "passwordconfirmation", kind: secret}, {text: "passwordconfirm", kind: secret}, {text: "passwordrepeat", kind: secret}, {text: "passwordagain", kind: secret},
	{text: "securityanswer", kind: secret}, {text: "identifiedby", kind: secret},
	{text: "passwordhash", kind: random}, {text: "passworddigest", kind: random}, {text: "passwordmatch", kind: notSecret},
	{text: "dbpw", kind: secret}, {text: "rootpw", kind: secret}, {text: "adminpw", kind: secret}, {text: "bindpw", kind: secret}, {text: "authpw", kind: secret}, {text: "userpw", kind: secret},
	{text: "storepass", kind: secret}, {text: "keypass", kind: secret}, {text: "requirepass", kind: secret}, {text: "masterauth", kind: secret},
	{text: "presharedkey", kind: secret}, {text: "psk", kind: secret, whole: true}, {text: "functionskey", kind: secret}, {text: "saskey", kind: secret},
	{text: "applicationkey", kind: secret}, {text: "insertkey", kind: secret}, {text: "servicekey", kind: random}, {text: "rolekey", kind: random},
	{text: "customerkey", kind: random}, {text: "serverkey", kind: random}, {text: "storagekey", kind: random}, {text: "sessionkey", kind: random},
	{text: "adminkey", kind: random}, {text: "primarykey", kind: random}, {text: "fernetkey", kind: random}, {text: "aeskey", kind: random},
	{text: "writekey", kind: random}, {text: "sdkkey", kind: random}, {text: "secondarykey", kind: random}, {text: "deterministickey", kind: random},
	{text: "cryptkey", kind: random}, {text: "deskey", kind: random, whole: true}, {text: "validationkey", kind: random}, {text: "cookiekey", kind: random},
	{text: "jwtkey", kind: random}, {text: "unsealkey", kind: secret}, {text: "pepper", kind: random, whole: true},
	{text: "stringdata", kind: secret}, {text: "secretstring", kind: secret}, {text: "secretbinary", kind: secret}, {text: "secretproof", kind: secret}, {text: "roottokenid", kind: secret},
	{text: "dockerconfigjson", kind: secret}, {text: "dockerauthconfig", kind: secret}, {text: "authuserinfo", kind: secret},
	{text: "hmackey", kind: random}, {text: "cipherkey", kind: random}, {text: "enckey", kind: random}, {text: "anonkey", kind: random},
	{text: "sshkey", kind: random}, {text: "deploykey", kind: random}, {text: "tlskey", kind: random}, {text: "sslkey", kind: random}, {text: "privkey", kind: random},
	{text: "securitycode", kind: secret}, {text: "authcode", kind: secret}, {text: "authorizationcode", kind: secret}, {text: "devicecode", kind: secret},
	{text: "backupcode", kind: secret}, {text: "codeverifier", kind: secret}, {text: "oauthverifier", kind: secret}, {text: "secretid", kind: random},
	{text: "assertion", kind: random}, {text: "samlresponse", kind: secret}, {text: "seedphrase", kind: secret}, {text: "recoveryphrase", kind: secret},
	{text: "oauth2bearer", kind: secret}, {text: "xsrf", kind: secret, whole: true}, {text: "ticket", kind: assigned, whole: true}, {text: "sharedaccesssignature", kind: secret},
	{text: "pin", kind: digits, whole: true}, {text: "card", kind: payment, whole: true}, {text: "pan", kind: payment, whole: true}, {text: "cardno", kind: payment},
	{text: "ccnumber", kind: payment, whole: true},
	{text: "confirmationcode", kind: digits}, {text: "accesscode", kind: digits}, {text: "logincode", kind: digits}, {text: "smscode", kind: digits},
	{text: "resetcode", kind: digits}, {text: "2facode", kind: digits}, {text: "onetimecode", kind: digits},
	{text: "signature", kind: assigned}, {text: "sig", kind: assigned, whole: true}, {text: "hmac", kind: assigned, whole: true}, {text: "code", kind: assigned, whole: true},
	{text: "key", kind: assigned, whole: true},
	{text: "accesskeyid", kind: notSecret},
	// In other languages.
	{text: "passwort", kind: secret}, {text: "kennwort", kind: secret}, {text: "motdepasse", kind: secret}, {text: "contrasena", kind: secret},
	{text: "contraseña", kind: secret}, {text: "senha", kind: secret, whole: true}, {text: "wachtwoord", kind: secret},
	{text: "пароль", kind: secret}, {text: "Пароль", kind: secret}, {text: "ПАРОЛЬ", kind: secret}, {text: "adgangskode", kind: secret}, {text: "lösenord", kind: secret},
	{text: "passord", kind: secret}, {text: "salasana", kind: secret}, {text: "hasło", kind: secret}, {text: "haslo", kind: secret, whole: true}, {text: "heslo", kind: secret, whole: true},
	{text: "şifre", kind: secret}, {text: "sifre", kind: secret, whole: true}, {text: "סיסמה", kind: secret}, {text: "パスコード", kind: secret}, {text: "暗証番号", kind: secret},
	{text: "암호", kind: secret}, {text: "口令", kind: secret},
	{text: "密码", kind: secret}, {text: "密碼", kind: secret}, {text: "パスワード", kind: secret}, {text: "비밀번호", kind: secret},
}

// byLast has the words by their last byte.
var byLast = func() (by [256][]word) {
	for _, w := range secretWords {
		last := w.text[len(w.text)-1]
		by[last] = append(by[last], w)
	}
	return by
}()

// IsSecret reports whether what has this name in JSON is to be kept secret.
// Counts, as of tokens, are not.
func IsSecret(name string) bool {
	switch kindOf(name, len(name)) {
	case notSecret, assigned:
		return false
	}
	return true
}

// kindOf tells the kind of the name that a text ends with, whose last word is so
// long. A name may have blanks: "API key".
func kindOf(text string, last int) kind {
	end := len(text)
	for end > 0 && last > 0 && is(text[end-1], inWord) {
		end--
		last--
	}
	if last < 2 {
		return notSecret
	}
	if k := ending(text[:end]); k != notSecret {
		return k
	}
	if is(text[end-1], digit) {
		return numbered(text[:end], last)
	}
	if c := text[end-1] | 0x20; c != 's' || last < 4 {
		return notSecret
	}
	switch k := ending(text[:end-1]); k {
	case secret, directory:
		return several
	case header:
		return header
	}
	return notSecret
}

// numbered tells the kind of a name with a number behind it, as Django's password1
// and SQLAlchemy's password_1.
func numbered(text string, last int) kind {
	const most = 2
	end := len(text)
	for end > 0 && len(text)-end < most && is(text[end-1], digit) {
		end--
	}
	for last -= len(text) - end; end > 0 && last > 0 && is(text[end-1], inWord); last-- {
		end--
	}
	if last < 3 || end == 0 {
		return notSecret
	}
	if k := ending(text[:end]); k == secret {
		return secret
	}
	return notSecret
}

func ending(text string) kind {
	c := text[len(text)-1]
	if is(c, letter) {
		c |= 0x20
	}
	before := byte(0)
	if len(text) > 1 && is(text[len(text)-2], letter) {
		before = text[len(text)-2] | 0x20
	}
	for _, w := range byLast[c] {
		if before != 0 && before != w.text[len(w.text)-2] {
			continue
		}
		begin, ok := endsWith(text, w.text)
		if !ok || w.whole && !beginsWord(text, begin) {
			continue
		}
		if w.text == "pwd" && (text[begin:] == "pwd" || text[begin:] == "PWD") && (beginsWord(text, begin) || begin >= 3 && text[begin-3:begin] == "OLD") {
			return directory
		}
		if w.text == "key" && strings.HasSuffix(text, "_KEY") {
			return random // of an environment
		}
		return w.kind
	}
	return notSecret
}

// endsWith compares without regard to case and to separators. It returns where in
// the text the word begins.
func endsWith(text, word string) (begin int, ok bool) {
	i := len(text)
	for w := len(word) - 1; w >= 0; w-- {
		for first := w == len(word)-1; ; {
			if i == 0 {
				return 0, false
			}
			i--
			c := text[i]
			if c == word[w] || is(c, letter) && c|0x20 == word[w] {
				break
			}
			if first || c != ' ' && !is(c, inWord) {
				return 0, false
			}
		}
	}
	return i, true
}

// beginsWord reports whether a word begins there: behind a separator or the escape
// of a line's end, or with a capital behind a small letter.
func beginsWord(text string, at int) bool {
	if at == 0 || !isAlphanumeric(text[at-1]) || at > 1 && text[at-2] == '\\' && strings.IndexByte("nrt", text[at-1]) >= 0 {
		return true
	}
	small := func(c byte) bool { return c >= 'a' && c <= 'z' }
	return small(text[at-1]) && !small(text[at])
}

// isPassword reports whether a name is one of a password, which has no name or number
// of its own as tokens, secrets and cookies have.
func isPassword(name string) bool {
	for _, word := range []string{"password", "passwd", "passphrase", "passwort", "identifiedby", "bindpw", "requirepass", "masterauth", "storepass", "keypass"} {
		if _, ok := endsWith(name, word); ok {
			return true
		}
	}
	return false
}
