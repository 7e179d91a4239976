package preview

import (
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"
)

var (
	// plain is a branch whose name can be a DNS label as it is.
	plain = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	// digested is a name that has a digest at its end, or looks like one.
	digested = regexp.MustCompile(`-0[a-z2-7]{10}$`)
	// others are the characters that a DNS label does not have.
	others = regexp.MustCompile(`[^a-z0-9]+`)
)

// longestLabel is how long names are at most, so that people can read them, and
// digestLength how long what tells them apart is, with its dash.
const (
	longestLabel = 40
	digestLength = 12
)

// label returns the name of a branch's preview: a DNS label of at most longest
// characters, 14 or more. No two branches have the same one: a name that is no label as
// it stands, or looks like one with a digest, gets a digest of the whole branch.
func label(branch string, longest int) string {
	longest = min(longest, longestLabel)
	if plain.MatchString(branch) && len(branch) <= longest && !digested.MatchString(branch) {
		return branch
	}
	sum := sha256.Sum256([]byte(branch))
	digest := "-0" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:10])
	readable := strings.Trim(others.ReplaceAllString(strings.ToLower(branch), "-"), "-")
	if readable == "" || readable[0] < 'a' {
		readable = "b" + readable
	}
	return strings.TrimRight(readable[:min(len(readable), longest-digestLength)], "-") + digest
}
