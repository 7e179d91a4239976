package mask

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Fingerprints find secret values in text without containing them: they can
// recognize a value but do not reveal it.
type Fingerprints struct {
	// Salt keeps two clusters' fingerprints of one value apart.
	Salt string `json:"salt"`
	// Sums are those of the values' forms, by their length in bytes.
	Sums map[int][]string `json:"sums"`
}

// mostText bounds the text that is looked through, in bytes: every place of it is
// compared with every length. The rest is left out, rather than left unmasked.
const mostText = 4096

// Fingerprint returns the fingerprints of secret values. Without a salt it makes
// one up; the same values and the same salt give the same fingerprints. Values
// longer than half a text are known by their beginning.
func Fingerprint(secrets []string, salt string) Fingerprints {
	if salt == "" {
		salt = rand.Text()
	}
	f := Fingerprints{Salt: salt, Sums: map[int][]string{}}
	for _, form := range forms(secrets) {
		form = form[:min(len(form), mostText/2)]
		f.Sums[len(form)] = append(f.Sums[len(form)], f.sum(form))
	}
	for length, sums := range f.Sums {
		slices.Sort(sums)
		f.Sums[length] = slices.Compact(sums)
	}
	return f
}

func (f Fingerprints) sum(text string) string {
	sum := sha256.Sum256([]byte(f.Salt + text))
	return fmt.Sprintf("%x", sum[:12])
}

// Mask hides the values in text, as far as it is looked through.
func (f Fingerprints) Mask(text string) string {
	longest := 0
	for length := range f.Sums {
		longest = max(longest, length)
	}
	cut := len(text) > mostText
	if cut {
		text = text[:mostText]
	}
	// secret[i] says that the byte at i is part of a value.
	secret := make([]bool, len(text))
	for length, sums := range f.Sums {
		for i := 0; i+length <= len(text); i++ {
			if slices.Contains(sums, f.sum(text[i:i+length])) {
				for j := range length {
					secret[i+j] = true
				}
			}
		}
	}
	end := len(text)
	if cut {
		end = max(0, len(text)-longest) // a value may have been cut there
	}
	var b strings.Builder
	for i := 0; i < end; i++ {
		switch {
		case !secret[i]:
			b.WriteByte(text[i])
		case i == 0 || !secret[i-1]:
			b.WriteString(hidden)
		}
	}
	return strings.ToValidUTF8(b.String(), "")
}
