package local

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Only what berth brought is named at the end, even if an interruption came
// between.
func TestBroughtPackages(t *testing.T) {
	l := layout{cache: t.TempDir()}
	if got := broughtPackages(l); len(got) != 0 {
		t.Errorf("brought %v before anything", got)
	}
	for _, names := range [][]string{{"nftables"}, {"mmdebstrap", "nftables"}, {"no-such-package"}} {
		if err := recordPackages(l, names); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(l.brought())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(content)); !slices.Equal(got, []string{"mmdebstrap", "nftables", "no-such-package"}) {
		t.Errorf("recorded %v", got)
	}
	t.Setenv("PATH", t.TempDir()) // where neither nft nor mmdebstrap is
	if got := broughtPackages(l); slices.Contains(got, "nftables") {
		t.Errorf("%v are still here", got)
	}
}
