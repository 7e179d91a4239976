package mask

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What knows the values and what knows their fingerprints alone hide the same.
func TestFingerprintsHideWhatValuesDo(t *testing.T) {
	secrets := []string{"s3cr3t-päss/word", "true", "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----", strings.Repeat("long", 3000)}
	prints := Fingerprint(secrets, "")
	masks := map[string]func(string) string{"values": Values(secrets), "fingerprints": prints.Mask}
	for _, test := range []struct{ name, text, want string }{
		{"as it is", "password s3cr3t-päss/word refused", "password •••• refused"},
		{"in a URL", "postgres://app:s3cr3t-p%C3%A4ss%2Fword@db/app", "postgres://app:••••@db/app"},
		{"in base64", "aGVhZGVy czNjcjN0LXDDpHNzL3dvcmQ=", "aGVhZGVy ••••"},
		{"a line of a key", "read MIIEvQIBADAN of it", "read •••• of it"},
		{"too short to hide anything", "debug=true", "debug=true"},
		{"nothing secret", "panic: assignment to entry in nil map", "panic: assignment to entry in nil map"},
		{"nothing", "", ""},
	} {
		for name, mask := range masks {
			if got := mask(test.text); got != test.want {
				t.Errorf("%s, by %s: got %q, want %q", test.name, name, got, test.want)
			}
		}
	}
}

func TestFingerprintsHoldNoValue(t *testing.T) {
	prints := Fingerprint([]string{"correct horse battery staple"}, "")
	text, err := json.Marshal(prints)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "horse") {
		t.Errorf("they hold the value: %s", text)
	}
	var back Fingerprints
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if got := back.Mask("a correct horse battery staple."); got != "a ••••." {
		t.Errorf("read back, they leave %q", got)
	}
	again := Fingerprint([]string{"correct horse battery staple"}, prints.Salt)
	for length, sums := range prints.Sums {
		if !slices.Equal(again.Sums[length], sums) {
			t.Error("the same salt gives other fingerprints")
		}
	}
}

// What is too long to look through is left out, also a value that the cut goes
// through.
func TestNothingUnmaskedIsLeftOfLongText(t *testing.T) {
	value := "correct horse battery staple"
	prints := Fingerprint([]string{value}, "")
	for at := mostText - 2*len(value); at < mostText+len(value); at++ {
		got := prints.Mask(strings.Repeat("x", at) + value + strings.Repeat("y", 9000))
		if strings.Contains(got, "corr") {
			t.Fatalf("with the value at %d its beginning is left: …%s", at, got[len(got)-40:])
		}
	}
}
