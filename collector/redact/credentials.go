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
	case len(scheme) != len("basic") && len(scheme) != len("bearer"):
		return 0, 0
	case strings.EqualFold(scheme, "bearer"):
		looks = looksBearer
	case strings.EqualFold(scheme, "basic"):
	case strings.EqualFold(scheme, "token"):
		looks = looksToken
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
	if !looks(text[from:to]) {
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
	return err == nil && strings.IndexByte(string(decoded), ':') >= 0 || looksRandom(trimmed, 8) || len(word) >= 8 && len(trimmed) < len(word)
}

func looksToken(word string) bool {
	longest := 0
	for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return strings.ContainsRune("-._~/", r) }) {
		longest = max(longest, len(part))
	}
	return len(word) >= 8 && switches(word) >= 3 && longest >= 8 || longest >= 16 && switches(word) >= 1
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

// prefixes are those of the tokens of services, by their first letter, with the
// least length of what they begin.
var prefixes = func() (by [256][]prefix) {
	for _, p := range []prefix{
		{"sk_live_", 16}, {"sk_test_", 16}, {"rk_live_", 16}, {"rk_test_", 16}, {"whsec_", 16}, // Stripe
		{"xoxb-", 12}, {"xoxp-", 12}, {"xoxa-", 12}, {"xoxr-", 12}, {"xoxs-", 12}, {"xoxe.", 12}, {"xapp-", 12}, // Slack
		{"ghp_", 12}, {"gho_", 12}, {"ghu_", 12}, {"ghs_", 12}, {"ghr_", 12}, {"github_pat_", 16}, // GitHub
		{"glpat-", 12}, {"gldt-", 12}, {"glrt-", 12}, {"glcbt-", 12}, {"glptt-", 12}, // GitLab
		{"npm_", 16}, {"pypi-", 16}, {"rubygems_", 16}, {"dckr_pat_", 16},
		{"AIza", 30}, {"ya29.", 16}, {"GOCSPX-", 16}, // Google
		{"sk-", 20}, {"hf_", 16}, {"gsk_", 20}, // OpenAI, Anthropic and others
		{"SG.", 20}, {"key-", 36}, {"dop_v1_", 16}, {"doo_v1_", 16}, {"dor_v1_", 16}, {"shpat_", 16}, {"shpss_", 16}, {"shpca_", 16}, {"shppa_", 16},
		{"hvs.", 16}, {"hvb.", 16}, {"dapi", 36}, {"lin_api_", 16}, {"figd_", 16}, {"sbp_", 16}, {"PMAK-", 16}, {"sq0atp-", 16}, {"sq0csp-", 16},
		{"EAA", 80}, {"dp.st.", 16}, {"dp.sa.", 16}, {"dp.ct.", 16}, {"ntn_", 30}, {"secret_", 40}, {"glc_", 30}, {"fo1_", 20}, {"fm2_", 30},
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

// token returns how much of a word is a token by itself, or none.
func token(word string) int {
	if strings.HasPrefix(word, "eyJ") {
		if isJWT(word) {
			return len(strings.TrimRight(word, "."))
		}
		return 0
	}
	for _, p := range prefixes[word[0]] {
		if len(word) >= p.least && strings.HasPrefix(word, p.text) && switches(word[len(p.text):])+len(word)/40 >= 1 {
			return len(strings.TrimRight(word, "."))
		}
	}
	return 0
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
	if strings.IndexByte("456", text[0]) < 0 {
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

// keys redacts private keys in PEM (RFC 7468).
func keys(text string) string {
	const open, shut = "PRIVATE KEY-----", "-----END "
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
		if last := strings.LastIndex(line, "-----BEGIN "); last < 0 || strings.Contains(line[last:], "END") {
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
		to := at
		for to < len(text) && strings.IndexByte(" \t\r\n\"'", text[to]) < 0 {
			to++
		}
		return at, to
	}
	switch flag := text[begin:end]; {
	case strings.HasPrefix(flag, "-p") && len(flag) > 2 && flag[2] != '-' && ran("mysql", "mariadb", "sshpass"):
		return argument(begin + 2)
	case flag == "-p" && ran("sshpass", " login", "mongo"), flag == "-a" && ran("redis-cli", "valkey-cli"):
		return argument(after)
	case (flag == "-u" || flag == "--user" || flag == "-U" || flag == "--proxy-user") && ran("curl", "http ", "wget"):
		from, to = argument(after)
		user := strings.IndexByte(text[from:to], ':')
		if user < 0 {
			return 0, 0
		}
		return from + user + 1, to
	}
	return 0, 0
}
