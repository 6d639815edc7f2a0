package idp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/secure-ota/secure-ota/internal/auth"
)

// A Flow is one login under way. The browser that began it keeps it, in a cookie
// that nobody else can set or read, so that any replica can finish it.
type Flow struct {
	State    string `json:"state"`    // comes back with the code: this browser began the login
	Nonce    string `json:"nonce"`    // comes back in the token: the token was made for this login
	Verifier string `json:"verifier"` // of PKCE: who saw the code go by has nothing
}

// Begin begins a login, and returns where to send the browser.
func (p *Provider) Begin(ctx context.Context) (Flow, string, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return Flow{}, "", err
	}
	f := Flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	return f, d.oauth.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), nil
}

// Finish ends a login with what the browser brought back from the provider. It
// returns auth.ErrLogin if it is not this browser's login or the token does not
// hold, and auth.ErrNoRole, with who it is, for somebody who may not log in.
func (p *Provider) Finish(ctx context.Context, f Flow, back url.Values) (auth.Person, error) {
	// First of all, or another site could log this browser in as somebody else.
	if f.State == "" || subtle.ConstantTimeCompare([]byte(f.State), []byte(back.Get("state"))) != 1 {
		return auth.Person{}, fmt.Errorf("%w: this browser did not begin it, or began another one since", auth.ErrLogin)
	}
	if code := back.Get("error"); code != "" {
		return auth.Person{}, fmt.Errorf("%w: %s says %q", auth.ErrLogin, p.host, clean(code))
	}
	if iss := back.Get("iss"); iss != "" && iss != p.cfg.Issuer { // RFC 9207
		return auth.Person{}, fmt.Errorf("%w: the answer is another provider's", auth.ErrLogin)
	}
	d, err := p.discover(ctx)
	if err != nil {
		return auth.Person{}, err
	}
	raw, err := p.exchange(ctx, d, back.Get("code"), f.Verifier)
	if err != nil {
		return auth.Person{}, err
	}
	token, err := d.verifier.Verify(oidc.ClientContext(ctx, p.client), raw)
	if err != nil {
		return auth.Person{}, fmt.Errorf("%w: %w", auth.ErrLogin, err)
	}
	if subtle.ConstantTimeCompare([]byte(f.Nonce), []byte(token.Nonce)) != 1 {
		return auth.Person{}, fmt.Errorf("%w: the token was made for another login", auth.ErrLogin)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return auth.Person{}, fmt.Errorf("%w: %w", auth.ErrLogin, err)
	}
	// Core 1.0 section 3.1.3.7: a token for several is for who asked for it.
	if azp, given := claims["azp"]; (given || len(token.Audience) > 1) && azp != p.cfg.ClientID {
		return auth.Person{}, fmt.Errorf("%w: the token was made for another client", auth.ErrLogin)
	}
	return p.person(token.Subject, claims)
}

// maxName is the longest name of a person, in bytes: an OpenID subject has at
// most 255.
const maxName = 255

// person says who the claims are about.
func (p *Provider) person(subject string, claims map[string]any) (auth.Person, error) {
	name, _ := claims[p.cfg.NameClaim].(string)
	switch {
	case name == "" || len(name) > maxName || clean(name) != name:
		return auth.Person{}, fmt.Errorf("%w: the claim %s is missing, or is no name", auth.ErrLogin, p.cfg.NameClaim)
	case p.cfg.NameClaim == "email" && claims["email_verified"] != true:
		// Whoever may enter any address could enter that of another person.
		return auth.Person{}, fmt.Errorf("%w: %s has not verified the address %s", auth.ErrLogin, p.host, name)
	}
	person := auth.Person{Issuer: p.cfg.Issuer, Subject: subject, Name: name, Terms: p.terms}
	for _, value := range valuesOf(claims[p.cfg.RoleClaim]) {
		person.Role = max(person.Role, p.cfg.Roles[value])
	}
	if person.Role == auth.NoRole {
		var values []string
		for value := range p.cfg.Roles {
			values = append(values, value)
		}
		slices.Sort(values)
		return person, fmt.Errorf("%w: the claim %s of %s has none of %s", auth.ErrNoRole, p.cfg.RoleClaim, name, strings.Join(values, ", "))
	}
	return person, nil
}

// valuesOf returns the texts of a claim, which is one or a list.
func valuesOf(claim any) (values []string) {
	switch c := claim.(type) {
	case string:
		return []string{c}
	case []any:
		for _, v := range c {
			if s, ok := v.(string); ok {
				values = append(values, s)
			}
		}
	}
	return values
}

// clean leaves out what could act on a terminal, a log or a reader's eyes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxName)]
}
