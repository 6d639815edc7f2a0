// Package idp logs operators in by an identity provider: OpenID Connect Core
// 1.0, the authorization code flow with PKCE (RFC 7636). What the provider says
// is verified by go-oidc; what it means here, who somebody is and what role he
// has, is decided here. docs/operations.md describes it to operators.
package idp

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
)

// The claims that a Config has unless it says others.
const (
	DefaultNameClaim = "sub"
	DefaultRoleClaim = "groups"
)

// ErrConfig is wrapped by the refusal of a Config.
var ErrConfig = errors.New("identity provider")

// A Config says which provider logs operators in, and as what.
type Config struct {
	Issuer   string // https://…, below which /.well-known/openid-configuration is
	ClientID string // of this server at the provider
	Secret   string // of the client; empty: a public client, which PKCE alone protects

	// NameClaim is the claim that the audit log calls a person by. It must be
	// the person's for ever: whoever gets it later is the same person to the rule
	// of the second person. Empty: DefaultNameClaim.
	NameClaim string
	RoleClaim string               // the claim that Roles are values of: a text or a list; empty: DefaultRoleClaim
	Roles     map[string]auth.Role // by value of the claim; of several the highest counts
	Scopes    []string             // asked for beside openid, profile and email

	Now func() time.Time // nil: time.Now
}

// check refuses what could not work, or not safely.
func (c Config) check() error {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%w: issuer %q: want a URL such as https://login.example.com/realms/plant", ErrConfig, c.Issuer)
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return fmt.Errorf("%w: issuer %q: want https: whoever is on the way could log in as anybody", ErrConfig, c.Issuer)
	case c.ClientID == "":
		return fmt.Errorf("%w: the client id is missing", ErrConfig)
	case len(c.Roles) == 0:
		return fmt.Errorf("%w: no value of the claim %s has a role, so nobody could log in", ErrConfig, c.RoleClaim)
	}
	for value, role := range c.Roles {
		if value == "" || role < auth.Viewer || role > auth.Administrator {
			return fmt.Errorf("%w: value %q of the claim %s: role %s", ErrConfig, value, c.RoleClaim, role)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
