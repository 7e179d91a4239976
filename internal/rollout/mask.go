package rollout

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

// masker returns a function that hides secret values in text, also where they
// were escaped for a URL, for JSON or in base64.
func masker(secrets []string) func(string) string {
	var forms []string
	for _, s := range secrets {
		for _, line := range append(strings.Split(s, "\n"), s) {
			if line = strings.TrimSpace(line); len(line) < shortest {
				continue
			}
			quoted, err := json.Marshal(line)
			if err == nil {
				forms = append(forms, string(quoted[1:len(quoted)-1]))
			}
			forms = append(forms, line, url.QueryEscape(line), url.PathEscape(line),
				url.UserPassword("", line).String()[1:],
				base64.StdEncoding.EncodeToString([]byte(line)))
		}
	}
	// The longest first, so that no part of a value stays beside its mask.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, "••••")
	}
	return strings.NewReplacer(pairs...).Replace
}
