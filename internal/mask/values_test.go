package mask

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	mask := Values([]string{"p@ss word/1", "p@ss word/1 and more", "true", "", "line one\nline two of a key"})
	tests := map[string]string{
		"connect with p@ss word/1":            "connect with ••••",
		"connect with p@ss word/1 and more":   "connect with ••••",
		"postgres://app:p%40ss%20word%2F1@db": "postgres://app:••••@db",
		"?password=p%40ss+word%2F1&x":         "?password=••••&x",
		"basic cEBzcyB3b3JkLzE=":              "basic ••••",
		"debug=true":                          "debug=true",
		"the key's line two of a key":         "the key's ••••",
		"nothing secret":                      "nothing secret",
	}
	for text, want := range tests {
		if got := mask(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// FuzzMask looks for a text that lets a secret through.
func FuzzMask(f *testing.F) {
	f.Add("0123456789abcdef", "0123456789", "a 0123456789abcdef b")
	f.Add("secret-secret", "secret", "secret-secret-secret")
	f.Add("••••••", "aaaaaa", "••••••aaaaaaa")
	f.Fuzz(func(t *testing.T, one, two, text string) {
		one, two = strings.TrimSpace(one), strings.TrimSpace(two)
		got := Values([]string{one, two})(text)
		for _, secret := range []string{one, two} {
			// A mask may spell a value that consists of its own dots, or join
			// with what stands beside it to one; those were not in the text.
			if len(secret) < shortest || strings.ContainsAny(secret, "•\n") {
				continue
			}
			if strings.Contains(got, secret) {
				t.Errorf("%q with %q, %q became %q", text, one, two, got)
			}
		}
	})
}
