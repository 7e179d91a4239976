package console

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü 日本 🚢":                      "plain äöü 日本 🚢",
		"\x1b[31mred\x1b[0m":                  "red",
		"\x1b[2J\x1b[1;1Hpage":                "page",
		"\x1b]0;title\x07text":                "text",
		"\x1b]8;;http://evil\x1b\\link":       "link",
		"\x1bP device \x1b\\text":             "text",
		"\u009b31mred\u009d0;title\u009ctext": "redtext",
		"\x1bcreset":                          "reset",
		"over\rwrite\b\b":                     "overwrite",
		"two\nlines\tand tab":                 "two lines and tab",
		"bad \xff utf-8":                      "bad \ufffd utf-8",
		"\u202eright to left\u2066":           "right to left",
		"\x1b]0;without end":                  "",
		"\x1b":                                "",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := CleanLines("a\x1b[1m\nb\x00"); got != "a\nb" {
		t.Errorf("got %q", got)
	}
}

// FuzzClean checks that nothing that a terminal acts on gets through, and
// that what is clean stays as it is.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[31m", "\x1b\x1b[[31m31m", "\u009b", "\x1b]\x1b[0m", "\xc2\x9b", "\xc2\x1b[0m\x9b", "a\n\tb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Clean(text)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%q holds %U", got, r)
			}
		}
		if again := Clean(got); again != got {
			t.Errorf("%q becomes %q when cleaned again", got, again)
		}
	})
}
