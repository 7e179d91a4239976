// Package mask hides secret values in text that is shown or sent: by the values
// themselves where they are known, or by their fingerprints, for a program that
// must not have them.
package mask

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// shortest is the least length of a value that is masked. Shorter ones, as
// "true", would mask half of every log line and hide nothing.
const shortest = 6

// hidden is what stands in the place of a value.
const hidden = "••••"

// Values returns a function that hides secret values in text, also where they
// were escaped for a URL, for JSON or in base64.
func Values(secrets []string) func(string) string {
	var pairs []string
	for _, form := range forms(secrets) {
		pairs = append(pairs, form, hidden)
	}
	return strings.NewReplacer(pairs...).Replace
}

// forms are the ways in which values may stand in text, the longest first, so
// that no part of a value stays beside its mask.
func forms(secrets []string) []string {
	var all []string
	for _, s := range secrets {
		for _, line := range append(strings.Split(s, "\n"), s) {
			if line = strings.TrimSpace(line); len(line) < shortest {
				continue
			}
			quoted, err := json.Marshal(line)
			if err == nil {
				all = append(all, string(quoted[1:len(quoted)-1]))
			}
			all = append(all, line, url.QueryEscape(line), url.PathEscape(line),
				url.UserPassword("", line).String()[1:],
				base64.StdEncoding.EncodeToString([]byte(line)))
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(all)
}
