// Package slug makes the part of an article's address that stands for its
// title.
package slug

import (
	"crypto/rand"
	"strings"
	"unicode"
)

// MaxBytes bounds a slug, so that one fits an index entry of every database
// and a line of any proxy's log.
const MaxBytes = 200

// fallback stands for a title without a single letter or digit.
const fallback = "article"

// Of returns the slug of a title: its letters and digits of any script in
// lower case, everything between them one hyphen. It is never empty and may
// well be taken already, for which there is [Distinct].
func Of(title string) string {
	var slug strings.Builder
	gap := false
	for _, r := range title {
		if !unicode.In(r, unicode.L, unicode.M, unicode.N) {
			gap = true
			continue
		}
		r = unicode.ToLower(r)
		if gap && slug.Len() > 0 {
			slug.WriteByte('-')
		}
		gap = false
		if slug.Len()+len(string(r)) > MaxBytes {
			break
		}
		slug.WriteRune(r)
	}
	if slug.Len() == 0 {
		return fallback
	}
	return strings.TrimSuffix(slug.String(), "-")
}

// Distinct returns slug with a random ending, for a title that another article
// has already. Counting upward instead would need to know every article of
// that title, and would have two writers at once agree on the same number.
func Distinct(slug string) string {
	const length = 8
	return slug + "-" + strings.ToLower(rand.Text()[:length])
}
