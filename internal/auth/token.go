package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// A Token is a bearer token of 256 random bits. It is shown once, when it is
// made; afterwards only its hash exists.
type Token string

// The prefixes tell people, and scanners for leaked secrets, what a token is.
const (
	OperatorPrefix = "ota_op_"
	DevicePrefix   = "ota_dev_"
)

const tokenBytes = 32

// NewToken makes a token with one of the prefixes.
func NewToken(prefix string) Token {
	raw := make([]byte, tokenBytes)
	rand.Read(raw)
	return Token(prefix + base64.RawURLEncoding.EncodeToString(raw))
}

// Reveal returns the secret itself, for the one moment when it is shown.
func (t Token) Reveal() string { return string(t) }

// String hides the secret.
func (Token) String() string { return "[token]" }

// GoString hides the secret.
func (Token) GoString() string { return "[token]" }

// LogValue hides the secret.
func (Token) LogValue() slog.Value { return slog.StringValue("[token]") }

// Hash returns what is stored of the token. A plain SHA-256 is enough: there
// is no guessing 256 random bits, with or without salt.
func (t Token) Hash() TokenHash { return sha256.Sum256([]byte(t)) }

// A TokenHash is the SHA-256 of a token. The zero value matches none.
type TokenHash [sha256.Size]byte

// Matches compares in constant time.
func (h TokenHash) Matches(t Token) bool {
	got := t.Hash()
	return h != TokenHash{} && subtle.ConstantTimeCompare(h[:], got[:]) == 1
}

// ErrNoToken is wrapped by the error for a request without a bearer token.
var ErrNoToken = errors.New("no bearer token")

// BearerToken returns the token of the request's one Authorization header.
func BearerToken(r *http.Request) (Token, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", ErrNoToken
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", ErrNoToken
	}
	return Token(token), nil
}
