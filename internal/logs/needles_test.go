package logs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// What an expression cannot do without is looked for in lines before they are taken apart.
func TestNeedles(t *testing.T) {
	for pattern, want := range map[string]string{
		"path=/api/articles":    "articles",
		"Request .* statuses":   "statuses",
		"GL7SD27Y5M6OWNY":       "GL7SD27Y5M6OWNY gl7sd27y5m6owny",
		"request|response":      "quest sponse",
		"":                      "",
		"timeout":               "timeout",
		"request_id=abc-1 .*":   "request_id",
		".*timeout":             "timeout",
		"^GET /articles/x+$":    "articles",
		"MARKER|OTHER":          "MARKER marker OTHER other",
		"(MARKER|OTHER) lost":   "MARKER marker OTHER other",
		"user (a|b) of shop":    "user",
		"deploy(ed|ing)?":       "deploy",
		"(?:refused){2,}":       "refused",
		"(refused)*":            "",
		"(?i)timeout":           "",
		"timeout|.*":            "",
		`\d+ [a-z]`:             "",
		"ERROR":                 "ERROR error",
		"straße":                "stra",
		"a b c d|e f g h|i j k": "a e i",
		"[Ee]rror in checkout":  "checkout",
	} {
		var got []string
		for _, needle := range (Query{Grep: regexp.MustCompile(pattern)}).needles() {
			got = append(got, string(needle))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%q needs %q, want %q", pattern, text, want)
		}
	}
}

func TestCandidates(t *testing.T) {
	const text = "one a\ntwo\nthree b a\n\nfour b"
	for needles, want := range map[string]string{
		"a":   "0:one a\n 10:three b a\n",
		"b a": "0:one a\n 10:three b a\n 21:four b",
		"two": "6:two\n", "four": "21:four b", "one": "0:one a\n", "x": "", "x y": "",
	} {
		var all [][]byte
		for needle := range strings.FieldsSeq(needles) {
			all = append(all, []byte(needle))
		}
		if got := listed(text, all); got != want {
			t.Errorf("%s: %q, want %q", needles, got, want)
		}
	}
	if got, want := listed(text, [][]byte{{}}), "0:one a\n 6:two\n 10:three b a\n 20:\n 21:four b"; got != want {
		t.Errorf("all: %q, want %q", got, want)
	}
}

func listed(text string, needles [][]byte) string {
	var all []string
	for at, line := range candidates([]byte(text), needles) {
		all = append(all, fmt.Sprintf("%d:%s", at, line))
	}
	return strings.Join(all, " ")
}
