package backup

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSideNamesFit(t *testing.T) {
	for _, name := range []string{"app", strings.Repeat("a", 63), strings.Repeat("é", 31), strings.Repeat("✓", 21)} {
		got := sideName(name, "_restore_20260304_050607_0a1b")
		if len(got) > 63 || !utf8.ValidString(got) || !strings.HasSuffix(got, "_restore_20260304_050607_0a1b") || !strings.HasPrefix(got, name[:3]) {
			t.Errorf("%q becomes %q", name, got)
		}
	}
}
