package scaffold

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for url, want := range map[string]string{
		"https://github.com/me/shop.git":     "shop",
		"https://github.com/me/shop/":        "shop",
		"git@github.com:me/Shop_Front.git":   "Shop_Front",
		"git@example.com:shop":               "shop",
		"ssh://git@example.com:2222/me/shop": "shop",
		"/srv/git/shop.git":                  "shop",
		"":                                   "",
	} {
		config := "[core]\n\tbare = false\n[remote \"other\"]\n\turl = https://x/y\n[remote \"origin\"]\n\turl = " + url + "\n"
		if got := origin([]byte(config)); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
	for text, want := range map[string]string{
		"Shop_Front": "shop-front", "2048": "", "3d-shop": "d-shop", "--a--": "a", "Ünïcode": "n-code", "": "",
		strings.Repeat("a", 39) + "-b": strings.Repeat("a", 39),
	} {
		if got := label(text, 40); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
