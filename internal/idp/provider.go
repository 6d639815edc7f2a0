package idp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"

	"github.com/secure-ota/secure-ota/internal/auth"
)

// Bounds of what a provider may take: its answers, in time and bytes, and how
// soon it is asked again after it failed.
const (
	timeout   = 10 * time.Second
	maxAnswer = 1 << 20
	pause     = 5 * time.Second
)

// algorithms are those that a provider's key signs with. HS256 and none are not
// of them, whatever the provider announces: the one takes the client's secret
// for a key, the other takes everything.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// A Provider logs operators in. It is safe for concurrent use.
type Provider struct {
	cfg      Config
	host     string
	redirect string
	terms    string
	client   *http.Client

	mu     sync.Mutex
	found  *discovered
	failed error // the last try
	again  time.Time
}

// discovered is what the provider says of itself.
type discovered struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// New returns the provider of a configuration. redirect is the URL of the page
// to which it sends people back. It is not asked for anything yet: a server
// starts whether its provider is there or not.
func New(cfg Config, redirect string) (*Provider, error) {
	if cfg.NameClaim == "" {
		cfg.NameClaim = DefaultNameClaim
	}
	if cfg.RoleClaim == "" {
		cfg.RoleClaim = DefaultRoleClaim
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrConfig, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &Provider{cfg: cfg, host: issuer.Host, redirect: redirect, terms: cfg.terms(), client: &http.Client{
		Transport: bounded{transport}, Timeout: timeout,
		// A code and a secret go where the provider's document says, and nowhere on.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Host is what people know the provider by.
func (p *Provider) Host() string { return p.host }

// Terms tells the configurations apart that a role can come of: the provider,
// the claims, and who is what. A session lasts no longer than what it was opened
// on, so that whoever takes a role away here need not wait for its end.
func (p *Provider) Terms() string { return p.terms }

func (c Config) terms() string {
	raw, err := json.Marshal([]any{c.Issuer, c.ClientID, c.NameClaim, c.RoleClaim, c.Roles}, json.Deterministic(true))
	if err != nil { // texts and numbers
		panic(fmt.Sprintf("idp: encode a configuration: %v", err))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}

// discover asks the provider once what it is, and again if it did not answer.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if p.cfg.Now().Before(p.again) {
		return nil, p.failed
	}
	// The keys are fetched again by this context when they change, so it must
	// not end with the request.
	lasting := oidc.ClientContext(context.WithoutCancel(ctx), p.client)
	provider, err := oidc.NewProvider(lasting, p.cfg.Issuer)
	if err != nil {
		p.failed, p.again = fmt.Errorf("%w: %w", auth.ErrProvider, err), p.cfg.Now().Add(pause)
		return nil, p.failed
	}
	p.found = &discovered{
		oauth2.Config{
			ClientID: p.cfg.ClientID, ClientSecret: p.cfg.Secret, Endpoint: provider.Endpoint(), RedirectURL: p.redirect,
			Scopes: slices.Concat([]string{oidc.ScopeOpenID, "profile", "email"}, p.cfg.Scopes),
		},
		provider.VerifierContext(lasting, &oidc.Config{ClientID: p.cfg.ClientID, SupportedSigningAlgs: algorithms, Now: p.cfg.Now}),
	}
	return p.found, nil
}

// exchange redeems a code for the raw ID token.
func (p *Provider) exchange(ctx context.Context, d *discovered, code, verifier string) (string, error) {
	token, err := d.oauth.Exchange(oidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(verifier))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError:
		return "", fmt.Errorf("%w: it does not take the code: %q", auth.ErrLogin, clean(refused.ErrorCode))
	case err != nil:
		return "", fmt.Errorf("%w: %w", auth.ErrProvider, err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", fmt.Errorf("%w: its answer has no ID token", auth.ErrLogin)
	}
	return raw, nil
}

// bounded is a transport whose answers end.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}
