package slug_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"berth/internal/realworld/slug"
)

func TestOf(t *testing.T) {
	for _, test := range []struct{ title, want string }{
		{"How to train your dragon", "how-to-train-your-dragon"},
		{"  Spaces -- and, punctuation!  ", "spaces-and-punctuation"},
		{"Go 1.26 & SQLite", "go-1-26-sqlite"},
		{"Crème brûlée", "crème-brûlée"},
		{"Привет, мир", "привет-мир"},
		{"日本語のタイトル", "日本語のタイトル"},
		{"हिन्दी में शीर्षक", "हिन्दी-में-शीर्षक"},
		{"../../etc/passwd", "etc-passwd"},
		{"'; DROP TABLE articles; --", "drop-table-articles"},
		{"🎉🎉🎉", "article"},
		{"!?", "article"},
		{"", "article"},
		{strings.Repeat("x", 500), strings.Repeat("x", slug.MaxBytes)},
		{strings.Repeat("x", slug.MaxBytes) + " y", strings.Repeat("x", slug.MaxBytes)},
	} {
		if got := slug.Of(test.title); got != test.want {
			t.Errorf("Of(%q) = %q, want %q", test.title, got, test.want)
		}
	}
}

func TestDistinctDiffersEachTime(t *testing.T) {
	first, second := slug.Distinct("title"), slug.Distinct("title")
	if first == second || !strings.HasPrefix(first, "title-") {
		t.Errorf("got %q and %q, want two slugs that begin with %q", first, second, "title-")
	}
}

func FuzzOf(f *testing.F) {
	for _, seed := range []string{"A title", "Ünïcödé", "a/b?c#d%00", "\x00\xff", "ǅ", "-", strings.Repeat("é", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, title string) {
		got := slug.Of(title)
		switch {
		case got == "":
			t.Error("empty slug")
		case !utf8.ValidString(got):
			t.Errorf("%q is not UTF-8", got)
		case len(got) > slug.MaxBytes:
			t.Errorf("%d bytes", len(got))
		case strings.ContainsAny(got, "/?#%&. \"'\\\x00\n"):
			t.Errorf("%q has a character with a meaning in an address", got)
		case strings.HasPrefix(got, "-") || strings.HasSuffix(got, "-") || strings.Contains(got, "--"):
			t.Errorf("%q has a hyphen that joins nothing", got)
		}
		if again := slug.Of(got); again != got {
			t.Errorf("Of(%q) = %q: a slug is its own slug", got, again)
		}
	})
}
