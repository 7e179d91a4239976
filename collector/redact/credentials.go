package redact

import (
	"encoding/base64"
	"strings"
)

// credentials redacts what follows the names of HTTP's authorization schemes, where
// it looks like a credential.
func credentials(text string, begin, end int) (from, to int) {
	looks := looksBasic
	switch scheme := text[begin:end]; {
	case len(scheme) < len("ntlm") || len(scheme) > len("negotiate") || strings.IndexByte("btnadp", scheme[0]|0x20) < 0:
		return 0, 0
	case strings.EqualFold(scheme, "bearer"):
		looks = looksBearer
	case strings.EqualFold(scheme, "basic"):
	case strings.EqualFold(scheme, "token"):
		looks = looksToken
	case strings.EqualFold(scheme, "negotiate"), strings.EqualFold(scheme, "ntlm"), strings.EqualFold(scheme, "apikey"), strings.EqualFold(scheme, "dpop"):
		looks = looksKey
	case scheme == "PLAIN": // SASL's
		looks = looksBasic
	default:
		return 0, 0
	}
	from = skip(text, end, " \t")
	if from == end {
		return 0, 0
	}
	from = skip(text, from, "\"'`<")
	to = from
	for to < len(text) && (isAlphanumeric(text[to]) || strings.IndexByte("-._~+/=", text[to]) >= 0) {
		to++ // RFC 7235's token68
	}
	to -= len(text[from:to]) - len(strings.TrimRight(text[from:to], "."))
	if !looks(text[from:to]) || isParser(text[:begin]) {
		return 0, 0
	}
	return from, to
}

func looksBearer(word string) bool {
	return len(word) >= 6 && switches(word) >= 1 || len(word) >= 20 && (strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == "" || mixesCase(word))
}

// looksBasic reports whether it is a user and a password in base64 (RFC 7617).
func looksBasic(word string) bool {
	trimmed := strings.TrimRight(word, "=")
	decoded, err := base64.RawStdEncoding.DecodeString(trimmed)
	return err == nil && strings.ContainsAny(string(decoded), ":\x00") || looksRandom(trimmed, 8) || len(word) >= 8 && len(trimmed) < len(word)
}

func looksKey(word string) bool { return len(word) >= 16 && (switches(word) >= 3 || mixesCase(word)) }

func looksToken(word string) bool {
	longest := 0
	for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return strings.ContainsRune("-._~/", r) }) {
		longest = max(longest, len(part))
	}
	return len(word) >= 8 && switches(word) >= 3 && longest >= 8 || longest >= 16 && switches(word) >= 1
}

// prefixes are those of the tokens of services, by their first letter, with the
// least length of what they begin.
var prefixes = func() (by [256][]prefix) {
	for _, p := range []prefix{
		{"sk_live_", 16}, {"sk_test_", 16}, {"rk_live_", 16}, {"rk_test_", 16}, {"whsec_", 16}, // Stripe
		{"xoxb-", 12}, {"xoxp-", 12}, {"xoxa-", 12}, {"xoxr-", 12}, {"xoxs-", 12}, {"xoxe.", 12}, {"xapp-", 12}, // Slack
		{"ghp_", 12}, {"gho_", 12}, {"ghu_", 12}, {"ghs_", 12}, {"ghr_", 12}, {"github_pat_", 16}, // GitHub
		{"glpat-", 12}, {"gldt-", 12}, {"glrt-", 12}, {"glcbt-", 12}, {"glptt-", 12}, {"glsoat-", 16}, {"gloas-", 40}, {"glimt-", 16},
		{"glft-", 16}, {"glagent-", 40}, {"glffct-", 16}, // GitLab
		{"xoxe-", 16}, {"xoxc-", 16}, {"xoxd-", 16}, {"shptka_", 16}, {"hvr.", 16}, {"dp.scim.", 20}, {"dp.audit.", 20}, {"sb_secret_", 20}, {"sess-", 40},
		{"api_org_", 30}, {"dkea", 36}, {"lin_oauth_", 30}, {"sntryu_", 30}, {"NRII-", 20}, {"AGE-PLUGIN-", 30}, {"pul-", 44}, {"phx_", 30}, {"re_", 32},
		{"IGQV", 60}, {"CLOJARS_", 40}, {"oy2", 46}, {"dckr_oat_", 20}, {"CFPAT-", 40}, {"HRKU-", 40}, {"ATBB", 32}, {"fc-", 35}, {"squ_", 44}, {"sqp_", 44}, {"sqa_", 44},
		{"pat", 82}, {"AQVN", 38}, {"t1.9euel", 60}, {"tvly-", 30}, {"apify_api_", 30}, {"rdme_", 70}, {"xsmtpsib-", 60}, {"mlsn.", 60}, {"EZTK", 50}, {"sl.", 100},
		{"bkua_", 40}, {"dt0c01.", 80}, {"dt0s01.", 80}, {"AKCp", 70}, {"cmVmdGtuOj", 50}, {"eyJrIjoi", 60}, {"cfut_", 40}, {"cfat_", 40}, {"v1.0-", 100},
		{"v2.local.", 40}, {"v3.local.", 40}, {"v4.local.", 40}, {"v4.public.", 40}, {"pi_", 45}, {"seti_", 45}, {"SUA", 58}, {"SAA", 58}, {"SOA", 58},
		{"npm_", 16}, {"pypi-", 16}, {"rubygems_", 16}, {"dckr_pat_", 16},
		{"AIza", 30}, {"ya29.", 16}, {"GOCSPX-", 16}, // Google
		{"sk-", 40}, {"sk-proj-", 20}, {"sk-ant-", 20}, {"hf_", 16}, {"gsk_", 20}, // OpenAI, Anthropic and others
		{"SG.", 20}, {"key-", 36}, {"dop_v1_", 16}, {"doo_v1_", 16}, {"dor_v1_", 16}, {"shpat_", 16}, {"shpss_", 16}, {"shpca_", 16}, {"shppa_", 16},
		{"hvs.", 16}, {"hvb.", 16}, {"dapi", 36}, {"lin_api_", 16}, {"figd_", 16}, {"sbp_", 16}, {"PMAK-", 16}, {"sq0atp-", 16}, {"sq0csp-", 16},
		{"EAA", 60}, {"dp.st.", 16}, {"dp.sa.", 16}, {"dp.ct.", 16}, {"ntn_", 30}, {"secret_", 40}, {"glc_", 30}, {"fo1_", 20}, {"fm2_", 30},
		{"rnd_", 20}, {"CCIPAT_", 20}, {"NRAK-", 20}, {"EZAK", 40}, {"ATATT3", 30}, {"ATCTT3", 30}, {"vercel_", 24}, {"xkeysib-", 30}, {"pplx-", 30},
		{"xai-", 30}, {"r8_", 30}, {"nvapi-", 30}, {"lsv2_", 30}, {"sgp_", 30}, {"ops_eyJ", 30}, {"tfp_", 30},
		{"AGE-SECRET-KEY-", 20}, {"tskey-", 16}, {"sntrys_", 16}, {"glsa_", 16}, {"dp.pt.", 16}, {"pscale_", 16}, {"nfp_", 16},
	} {
		by[p.text[0]] = append(by[p.text[0]], p)
	}
	return by
}()

type prefix struct {
	text  string
	least int
}

// token returns where in a word a token by itself begins and ends, or none. In a word
// with digits a program may have put its own name before it: bearer_eyJ…, key-ghp_….
func token(word string, digits bool) (from, to int) {
	const least = 12
	for at := 0; at+least <= len(word); {
		if n := tokenAt(word[at:], at > 0); n > 0 {
			return at, at + n
		}
		if !digits {
			return 0, 0
		}
		for at < len(word) && !is(word[at], inWord) {
			at++
		}
		for at < len(word) && is(word[at], inWord) {
			at++
		}
	}
	return 0, 0
}

func tokenAt(word string, within bool) int {
	if strings.HasPrefix(word, "eyJ") && isJWT(word) {
		return len(strings.TrimRight(word, "."))
	}
	for _, p := range prefixes[word[0]] {
		if len(word) < p.least || word[1] != p.text[1] || within && len(p.text) < len("ghp_") {
			continue
		}
		if strings.HasPrefix(word, p.text) && (switches(word[len(p.text):])+len(word)/40 >= 1 || mixesCase(word[len(p.text):])) {
			return len(strings.TrimRight(word, "."))
		}
	}
	if !within && isDiscord(word) {
		return len(strings.TrimRight(word, "."))
	}
	return 0
}

// isDiscord recognizes the token of a bot, which begins with its number in base64.
func isDiscord(word string) bool {
	const least = 59
	if len(word) < least || strings.IndexByte("MNO", word[0]) < 0 {
		return false
	}
	id, rest, _ := strings.Cut(word, ".")
	decoded, err := base64.RawStdEncoding.DecodeString(id)
	return err == nil && len(decoded) >= 17 && strings.Trim(string(decoded), "0123456789") == "" && strings.IndexByte(rest, '.') == 6
}

// isTelegram recognizes the token of a bot behind its number: 123456789:AA….
func isTelegram(text string, begin, end int) bool {
	if text[begin] != 'A' || end-begin < 33 || begin < len("12345678:") || text[begin-1] != ':' || text[begin+1] != 'A' {
		return false
	}
	return strings.Trim(text[begin-len("12345678:"):begin-1], "0123456789") == ""
}

// isJWT recognizes a JSON web token (RFC 7519) by its header, an object in base64.
func isJWT(word string) bool {
	head, rest, parts := strings.Cut(word, ".")
	if !parts || rest == "" || len(word) < 16 {
		return false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(head, "="))
	return err == nil && strings.HasPrefix(string(decoded), `{"`) && strings.Contains(string(decoded), `":`)
}

// card returns how long a payment card's number is: four groups of four digits, or
// as many in one, of which the last one checks the others (ISO/IEC 7812-1).
func card(text string) int {
	switch text[0] {
	case '2', '4', '5', '6':
	case '3':
		if n := groups(text, 4, 6, 5) + groups(text, 4, 6, 4); n > 0 {
			return n // American Express, and Diners Club
		}
		if text[1:min(len(text), 2)] != "5" {
			return 0
		}
	default:
		return 0
	}
	sum, digits, at := 0, 0, 0
	gap := byte(0)
	for ; at < len(text) && digits < 16; at++ {
		c := text[at]
		if digits > 0 && digits%4 == 0 && (c == ' ' || c == '-') && text[at-1] != c && (gap == c || digits == 4 && gap == 0) {
			gap = c
			continue
		}
		if gap != 0 && digits%4 == 0 && text[at-1] != gap || !is(c, digit) {
			return 0
		}
		d := int(c - '0')
		if digits%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		digits++
	}
	if gap == 0 || digits < 16 || sum%10 != 0 || at < len(text) && isWord(text[at]) && text[at] != '.' {
		return 0
	}
	return at
}

// groups returns how long digits are in groups of these lengths, if the last one
// checks the others.
func groups(text string, of ...int) int {
	at := 0
	for i, n := range of {
		if i > 0 {
			if at >= len(text) || text[at] != ' ' && text[at] != '-' || i > 1 && text[at] != text[of[0]] {
				return 0
			}
			at++
		}
		for range n {
			if at >= len(text) || !is(text[at], digit) {
				return 0
			}
			at++
		}
	}
	if at < len(text) && isWord(text[at]) && text[at] != '.' || !isCard(strings.NewReplacer(" ", "", "-", "").Replace(text[:at])) {
		return 0
	}
	return at
}

// keys redacts private keys in PEM (RFC 7468), and those of OpenPGP and SSH that are
// written like them.
func keys(text string) string {
	if !strings.Contains(text, "PRIVATE KEY") {
		return text
	}
	for _, open := range []string{"PRIVATE KEY-----", "PRIVATE KEY BLOCK-----", "PRIVATE KEY ----"} {
		text = keysWith(text, open)
	}
	return text
}

func keysWith(text, open string) string {
	shut := "-----END "
	if strings.HasSuffix(open, " ----") {
		shut = "---- END "
	}
	if !strings.Contains(text, open) {
		return text
	}
	c := cuts{text: text}
	for at := 0; ; {
		found := strings.Index(text[at:], open)
		if found < 0 {
			return c.String()
		}
		begin := at + found + len(open)
		line := text[max(0, at, begin-len(open)-40):begin]
		at = begin
		if last := strings.LastIndex(line, "BEGIN "); last < 0 || strings.Contains(line[last:], "END") {
			continue
		}
		end := len(text)
		if n := strings.Index(text[begin:], shut); n >= 0 {
			end = begin + n
		}
		c.cut(begin, end)
		at = end
	}
}

// logins are functions that take a password, with how many other arguments before it.
// A stack trace of PHP's has them.
var logins = map[string]int{
	"PDO": 2, "PDO->__construct": 2, "mysqli": 2, "mysqli->__construct": 2, "mysqli_connect": 2, "mysql_connect": 2, "DBI->connect": 2, "PDO::connect": 2,
	"ldap_bind": 2, "imap_open": 2, "ftp_login": 2, "ssh2_auth_password": 2, "oci_connect": 1, "db.auth": 1, "db.changeUserPassword": 1,
}

// argument redacts the password in the call of such a function.
func argument(text string, begin, end int) (from, to int) {
	if end == len(text) || text[end] != '(' {
		return 0, 0
	}
	if of := text[:begin]; strings.HasSuffix(of, "->") || strings.HasSuffix(of, "::") {
		for begin -= len("->"); begin > 0 && isWord(text[begin-1]); {
			begin--
		}
		if begin > 0 && text[begin-1] == '\\' && strings.IndexByte("nrt", text[begin]) >= 0 {
			begin++ // the escape of a line's end
		}
	}
	others, known := logins[text[begin:end]]
	if !known {
		return 0, 0
	}
	at, ok := inList(text, end+1, others)
	if !ok || literal(text, at) != at {
		return 0, 0
	}
	slashes := skip(text, at, `\`)
	return slashes + 1, slashes + 1 + quoted(text[slashes+1:], text[at:slashes+1])
}

// option redacts the passwords that programs take as arguments of one letter.
func option(text string, begin, end int) (from, to int) {
	if text[begin] != '-' || begin > 0 && strings.IndexByte(" \"'", text[begin-1]) < 0 || end-begin < 2 {
		return 0, 0
	}
	const far = 200
	before := text[max(0, begin-far):begin]
	ran := func(programs ...string) bool {
		for _, p := range programs {
			if strings.Contains(before, p) {
				return true
			}
		}
		return false
	}
	after := skip(text, end, " \"',")
	argument := func(at int) (int, int) {
		at = skip(text, at, "\"'")
		to := at
		for to < len(text) && strings.IndexByte(" \t\r\n\"'", text[to]) < 0 {
			to++
		}
		return at, to
	}
	password := func(at int) (int, int) {
		from, to := argument(at)
		user := strings.IndexByte(text[from:to], ':')
		if user < 0 {
			return 0, 0
		}
		return from + user + 1, to
	}
	switch flag := text[begin:end]; {
	case flag == "-p" && strings.HasPrefix(text[end:], "'") && ran("mysql", "mariadb"):
		return argument(end)
	case flag == "-p" && ran("sshpass", "login", "mongo", "cqlsh", "twine", "rabbitmqadmin"), flag == "-a" && ran("redis-cli", "valkey-cli"), flag == "-w" && ran("ldap"),
		flag == "-P" && ran("zip", "ipmitool", "sqlcmd", "bcp "), flag == "-c" && ran("snmp"), flag == "-k" && ran("openssl enc"):
		return argument(after)
	case strings.HasPrefix(flag, "-p") && len(flag) > 2 && flag[2] != '-' && ran("mysql", "mariadb", "sshpass", "7z"):
		return argument(begin + 2)
	case (flag == "-u" || flag == "--user" || flag == "-U" || flag == "--proxy-user") && ran("curl", "http ", "wget"), (flag == "-a" || flag == "--auth") && ran("http "):
		return password(after)
	case flag == "--user" && ran("etcdctl"), strings.HasSuffix(flag, "-creds"):
		return password(skip(text, after, "="))
	case strings.HasPrefix(flag, "-u") && ran("curl"):
		return password(begin + 2)
	case (flag == "-b" || flag == "--cookie") && ran("curl"):
		return argument(after)
	}
	return 0, 0
}

// hashes redacts the hashes of passwords, as crypt(3), Argon2, PBKDF2 and SCRAM write
// them: $2b$12$…, pbkdf2_sha256$600000$….
func hashes(text string) string {
	c := cuts{text: text}
	for at := 0; ; {
		found := strings.IndexByte(text[at:], '$')
		if found < 0 {
			return c.String()
		}
		at += found
		begin := at
		for begin > c.done && (isWord(text[begin-1]) || text[begin-1] == ':') {
			begin--
		}
		end := at
		for end < len(text) && (isAlphanumeric(text[end]) || strings.IndexByte("$./+=,:_-", text[end]) >= 0) {
			end++
		}
		if from := hash(text[begin:at], text[at:end]); from > 0 {
			end -= len(text[at:end]) - len(strings.TrimRight(text[at:end], ":.,-"))
			c.cut(at+from, end)
		}
		at = max(end, at+1)
	}
}

// hash returns where a hash and its salt begin in a text behind what names the
// algorithm before the first dollar sign, or none.
func hash(before, text string) int {
	const least = 16
	for _, scheme := range []string{"pbkdf2", "scrypt:", "SCRAM-SHA-", "argon2", "bcrypt", "md5", "sha1"} {
		if at := strings.LastIndex(before, scheme); at >= 0 && len(text) > least && looksKey(text) {
			return 1
		}
	}
	scheme, rest, ok := strings.Cut(text[1:], "$")
	switch {
	case !ok || len(rest) < least || !looksKey(rest):
		return 0
	case scheme == "2a", scheme == "2b", scheme == "2x", scheme == "2y", scheme == "1", scheme == "5", scheme == "6", scheme == "7", scheme == "y", scheme == "apr1",
		scheme == "scrypt", scheme == "gy", strings.HasPrefix(scheme, "argon2"), strings.HasPrefix(scheme, "pbkdf2"), strings.HasPrefix(scheme, "bcrypt"):
		return 1 + len(scheme) + 1
	}
	return 0
}
