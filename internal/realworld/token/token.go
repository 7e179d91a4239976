// Package token makes and checks the JSON Web Tokens (RFC 7519) that stand for
// a login.
//
// A token names its user by number alone, so it outlives a change of the name
// or the password, and it is the same whichever replica checks it.
package token

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Lifetime is how long a token is good. Every response that holds a user holds
// a new one, so who comes back within it stays logged in.
const Lifetime = 7 * 24 * time.Hour

// MinSecret is the shortest secret taken, in bytes: RFC 7518, section 3.2,
// wants a key of at least the hash's size for HS256.
const MinSecret = 32

// A Signer makes and checks tokens with one secret.
type Signer struct {
	secret []byte
	parser *jwt.Parser
}

// NewSigner returns a Signer. The secret must have at least [MinSecret] bytes.
func NewSigner(secret []byte) (*Signer, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("the token secret has %d bytes and needs at least %d", len(secret), MinSecret)
	}
	return &Signer{
		secret: secret,
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired()),
	}, nil
}

// Issue returns a token for a user that is good from now on for [Lifetime].
func (s *Signer) Issue(user int64, now time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject:   strconv.FormatInt(user, 10),
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(Lifetime)),
	})
	signed, err := token.SignedString(s.secret)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// User returns the user that a token names. It fails for every token that this
// secret did not sign with HS256 and for one that has expired.
func (s *Signer) User(token string) (int64, error) {
	var claims jwt.RegisteredClaims
	if _, err := s.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return s.secret, nil }); err != nil {
		return 0, fmt.Errorf("check token: %w", err)
	}
	user, err := strconv.ParseInt(claims.Subject, 10, 64)
	if err != nil || user <= 0 {
		return 0, errors.New("check token: it names no user")
	}
	return user, nil
}
