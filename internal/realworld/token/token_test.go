package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"berth/internal/realworld/token"
)

var secret = []byte("a secret of at least thirty-two bytes")

func TestForgedTokensAreRefused(t *testing.T) {
	signer, err := token.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	good, err := signer.Issue(42, now)
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change func(*jwt.RegisteredClaims)) jwt.RegisteredClaims {
		c := jwt.RegisteredClaims{Subject: "42", ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))}
		if change != nil {
			change(&c)
		}
		return c
	}
	sign := func(method jwt.SigningMethod, key any, c jwt.RegisteredClaims) string {
		signed, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	header, rest, _ := strings.Cut(good, ".")

	for name, forged := range map[string]string{
		"no algorithm":      sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil)),
		"another secret":    sign(jwt.SigningMethodHS256, []byte("another secret of thirty-two bytes"), claims(nil)),
		"another algorithm": sign(jwt.SigningMethodHS512, secret, claims(nil)),
		"expired":           sign(jwt.SigningMethodHS256, secret, claims(func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(-time.Second)) })),
		"never expires":     sign(jwt.SigningMethodHS256, secret, claims(func(c *jwt.RegisteredClaims) { c.ExpiresAt = nil })),
		"not yet valid":     sign(jwt.SigningMethodHS256, secret, claims(func(c *jwt.RegisteredClaims) { c.NotBefore = jwt.NewNumericDate(now.Add(time.Hour)) })),
		"names nobody":      sign(jwt.SigningMethodHS256, secret, claims(func(c *jwt.RegisteredClaims) { c.Subject = "" })),
		"names no number":   sign(jwt.SigningMethodHS256, secret, claims(func(c *jwt.RegisteredClaims) { c.Subject = "42 OR 1=1" })),
		"no signature":      good[:strings.LastIndex(good, ".")+1],
		"cut short":         good[:len(good)-4],
		"header swapped":    "eyJhbGciOiJub25lIn0." + rest,
		"only a header":     header,
		"empty":             "",
	} {
		if user, err := signer.User(forged); err == nil {
			t.Errorf("%s: taken as user %d", name, user)
		}
	}

	if user, err := signer.User(good); err != nil || user != 42 {
		t.Errorf("good token: got user %d, error %v", user, err)
	}
}

func TestShortSecretIsRefused(t *testing.T) {
	if _, err := token.NewSigner(secret[:token.MinSecret-1]); err == nil {
		t.Error("a short secret was taken")
	}
}

func FuzzUser(f *testing.F) {
	signer, err := token.NewSigner(secret)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "...", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, forged string) {
		if user, err := signer.User(forged); err == nil {
			t.Errorf("%q was taken as user %d", forged, user)
		}
	})
}
