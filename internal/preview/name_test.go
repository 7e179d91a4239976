package preview

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNamesOfBranches(t *testing.T) {
	for branch, want := range map[string]string{
		"login":         "login",
		"fix-42":        "fix-42",
		"Login":         "login-0",
		"feature/login": "feature-login-0",
		"feature-login": "feature-login",
		"42":            "b42-0",
		"ümlaut":        "mlaut-0",
		"日本":            "b-0",
		"dependabot/npm_and_yarn/a-very-long-name-of-a-package-1.2.3": "dependabot-npm-and-yarn-a-ve-0",
	} {
		got := label(branch, 40)
		if got != want && (!strings.HasSuffix(want, "-0") || !strings.HasPrefix(got, want) || !digested.MatchString(got)) {
			t.Errorf("%s is called %s; want %s", branch, got, want)
		}
	}
	// What another branch is called is not to be had by taking its name.
	taken := label("feature/login", 40)
	if label(taken, 40) == taken {
		t.Errorf("the branch %s is called as feature/login is", taken)
	}
}

// FuzzLabel: any branch has a name that Kubernetes and DNS take, and no other has it.
func FuzzLabel(f *testing.F) {
	for _, branch := range []string{"", "main", "feature/x", "Feature/X", "-", "a--b", "feature-x-0abcdefghij", strings.Repeat("x", 300), "\x00", "xn--a"} {
		f.Add(branch, "feature-x", uint8(14))
		f.Add("main", branch, uint8(40))
	}
	f.Fuzz(func(t *testing.T, one, other string, longest uint8) {
		room := 14 + int(longest)%50
		a, b := label(one, room), label(other, room)
		for _, name := range []string{a, b} {
			if problems := validation.IsDNS1035Label(name); len(problems) > 0 || len(name) > room {
				t.Errorf("%q is no label of %d characters: %v", name, room, problems)
			}
		}
		if one != other && a == b {
			t.Errorf("%q and %q are both called %s", one, other, a)
		}
	})
}
