// Package issuer is an OpenID Connect provider for tests: discovery, keys,
// authorization with PKCE and tokens, over loopback, with a key of its own.
// Everybody who comes to it is logged in at once, as whom the test says.
package issuer

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// The client that every Issuer knows.
const (
	ClientID = "ota-console"
	Secret   = "not a secret: a test's"
)

// An Issuer is a running provider. Change what is exported before the login
// that is to see it.
type Issuer struct {
	URL    string
	Claims map[string]any // of the person who logs in; they replace what a token has by itself
	Forge  func(header, claims string) string
	Answer func(w http.ResponseWriter, r *http.Request) bool // says that it has answered instead
	Now    func() time.Time

	key *rsa.PrivateKey

	mu    sync.Mutex
	codes map[string]login
}

// login is what a code stands for.
type login struct{ challenge, nonce, redirect string }

// New starts a provider that ends with the test.
func New(t testing.TB) *Issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{key: key, codes: map[string]login{}, Now: time.Now}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.Answer == nil || !i.Answer(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	// Another site than 127.0.0.1, where the console is: what a browser sends
	// along on the way back is what it would send to a real one.
	i.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	return i
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	write(w, map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	write(w, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
		"n": encode(i.key.N.Bytes()), "e": encode(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
}

func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case q.Get("client_id") != ClientID, q.Get("response_type") != "code", q.Get("code_challenge_method") != "S256",
		!strings.Contains(" "+q.Get("scope")+" ", " openid "), q.Get("state") == "", q.Get("nonce") == "":
		http.Error(w, "bad request: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	code := rand.Text()
	i.mu.Lock()
	i.codes[code] = login{q.Get("code_challenge"), q.Get("nonce"), q.Get("redirect_uri")}
	i.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {i.URL}}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	code := r.PostFormValue("code")
	i.mu.Lock()
	l, ok := i.codes[code]
	delete(i.codes, code) // once
	i.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if unescaped, err := url.QueryUnescape(secret); id != ClientID || err != nil || unescaped != Secret {
		fail(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	if !ok || encode(sum[:]) != l.challenge || r.PostFormValue("redirect_uri") != l.redirect {
		fail(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	now := i.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": ClientID, "sub": "1", "nonce": l.nonce, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(claims, i.Claims)
	write(w, map[string]any{"access_token": "unused", "token_type": "Bearer", "id_token": i.sign(claims)})
}

func (i *Issuer) sign(claims map[string]any) string {
	raw, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	header := encode([]byte(`{"alg":"RS256","kid":"1"}`))
	if i.Forge != nil {
		return i.Forge(header, encode(raw))
	}
	return i.Sign(header, encode(raw))
}

// Sign makes a token of a header and claims, both encoded.
func (i *Issuer) Sign(header, claims string) string {
	sum := sha256.Sum256([]byte(header + "." + claims))
	signature, err := rsa.SignPKCS1v15(nil, i.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return header + "." + claims + "." + encode(signature)
}

// Unsigned makes a token that says that it needs no signature.
func (i *Issuer) Unsigned(_, claims string) string {
	return encode([]byte(`{"alg":"none"}`)) + "." + claims + "."
}

// SignedWithSecret makes a token that is MAC'ed with the client's secret.
func (i *Issuer) SignedWithSecret(_, claims string) string {
	signed := encode([]byte(`{"alg":"HS256"}`)) + "." + claims
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, code)
}
