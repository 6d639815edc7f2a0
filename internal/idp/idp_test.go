package idp_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/idp"
	"github.com/secure-ota/secure-ota/internal/testenv/issuer"
)

const redirect = "https://ota.example.com/login/oidc/callback"

var roles = map[string]auth.Role{"watch": auth.Viewer, "ship": auth.Publisher, "run": auth.Approver, "rule": auth.Administrator}

func configOf(i *issuer.Issuer) idp.Config {
	return idp.Config{Issuer: i.URL, ClientID: issuer.ClientID, Secret: issuer.Secret, Roles: roles}
}

func provider(t *testing.T, cfg idp.Config) *idp.Provider {
	t.Helper()
	p, err := idp.New(cfg, redirect)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// visit goes to the provider as a browser does, and returns what it brings back.
func visit(t *testing.T, there string) url.Values {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(there)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || !strings.HasPrefix(back.String(), redirect+"?") {
		t.Fatalf("sent back to %v, %v", back, err)
	}
	return back.Query()
}

func login(t *testing.T, p *idp.Provider) (auth.Person, error) {
	t.Helper()
	flow, there, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.Finish(t.Context(), flow, visit(t, there))
}

func TestTheClaimsSayWhoAndWhat(t *testing.T) {
	i := issuer.New(t)
	p := provider(t, configOf(i))
	for _, c := range []struct {
		groups any
		want   auth.Role
	}{
		{"watch", auth.Viewer}, {[]string{"ship"}, auth.Publisher}, {[]string{"x", "run"}, auth.Approver},
		{[]string{"watch", "rule", "ship"}, auth.Administrator}, {[]any{7, "watch"}, auth.Viewer},
	} {
		i.Claims = map[string]any{"sub": "auth0|42", "groups": c.groups}
		got, err := login(t, p)
		if want := (auth.Person{Issuer: i.URL, Subject: "auth0|42", Name: "auth0|42", Terms: p.Terms(), Role: c.want}); err != nil || got != want {
			t.Errorf("%v: %+v, %v", c.groups, got, err)
		}
	}
	for _, groups := range []any{nil, "", "nobody", []string{}, []string{"Rule", "rule "}, 7, map[string]any{"rule": true}} {
		i.Claims = map[string]any{"groups": groups}
		got, err := login(t, p)
		if !errors.Is(err, auth.ErrNoRole) || got.Role != auth.NoRole || got.Name != "1" || !strings.Contains(err.Error(), "groups of 1 has none of rule, run, ship, watch") {
			t.Errorf("%v: %+v, %v", groups, got, err)
		}
	}
}

func TestTermsAreWhatARoleComesOf(t *testing.T) {
	cfg := idp.Config{Issuer: "https://login.example.com", ClientID: "ota", Roles: roles}
	first, again := provider(t, cfg), provider(t, cfg)
	if first.Terms() != again.Terms() || first.Terms() == "" {
		t.Errorf("%q and %q", first.Terms(), again.Terms())
	}
	for name, change := range map[string]func(*idp.Config){
		"another provider": func(c *idp.Config) { c.Issuer = "https://login.example.org" },
		"another client":   func(c *idp.Config) { c.ClientID = "ota2" },
		"another name":     func(c *idp.Config) { c.NameClaim = "email" },
		"another claim":    func(c *idp.Config) { c.RoleClaim = "roles" },
		"a role less":      func(c *idp.Config) { c.Roles = map[string]auth.Role{"watch": auth.Viewer} },
		"another role": func(c *idp.Config) {
			c.Roles = map[string]auth.Role{"watch": auth.Viewer, "ship": auth.Publisher, "run": auth.Approver, "rule": auth.Viewer}
		},
	} {
		other := cfg
		change(&other)
		if provider(t, other).Terms() == first.Terms() {
			t.Errorf("%s: the same terms", name)
		}
	}
	cfg.Secret, cfg.Scopes = "renewed", []string{"groups"}
	if provider(t, cfg).Terms() != first.Terms() {
		t.Error("a renewed secret changes the terms")
	}
}

func TestAnotherClaimForTheName(t *testing.T) {
	i := issuer.New(t)
	cfg := configOf(i)
	cfg.NameClaim, cfg.RoleClaim = "email", "job"
	p := provider(t, cfg)
	i.Claims = map[string]any{"email": "ann@example.com", "email_verified": true, "job": "run"}
	if got, err := login(t, p); err != nil || got.Name != "ann@example.com" || got.Subject != "1" || got.Role != auth.Approver {
		t.Errorf("%+v, %v", got, err)
	}
	for name, claims := range map[string]map[string]any{
		"an address that anybody could enter": {"email": "ann@example.com"},
		"one that is not verified":            {"email": "ann@example.com", "email_verified": false},
		"none":                                {"email_verified": true},
		"no text":                             {"email": 7, "email_verified": true},
		"one with a line of its own":          {"email": "ann\nroot", "email_verified": true},
		"one with an escape":                  {"email": "ann\x1b[2J", "email_verified": true},
		"one that reads backwards":            {"email": "ann\u202eroot", "email_verified": true},
		"a long one":                          {"email": strings.Repeat("a", 256), "email_verified": true},
	} {
		claims["job"] = "run"
		i.Claims = claims
		if got, err := login(t, p); !errors.Is(err, auth.ErrLogin) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestATokenThatDoesNotHoldIsRefused(t *testing.T) {
	i, other := issuer.New(t), issuer.New(t)
	p := provider(t, configOf(i))
	now := time.Now()
	for name, c := range map[string]struct {
		claims map[string]any
		forge  func(header, claims string) string
	}{
		"of another issuer":        {map[string]any{"iss": other.URL}, nil},
		"for another client":       {map[string]any{"aud": "shop"}, nil},
		"for two, by the other":    {map[string]any{"aud": []string{"shop", issuer.ClientID}, "azp": "shop"}, nil},
		"for two, by nobody":       {map[string]any{"aud": []string{"shop", issuer.ClientID}}, nil},
		"for nobody":               {map[string]any{"aud": []string{}}, nil},
		"of another login":         {map[string]any{"nonce": "another"}, nil},
		"of no login":              {map[string]any{"nonce": ""}, nil},
		"expired":                  {map[string]any{"exp": now.Add(-time.Second).Unix()}, nil},
		"without an end":           {map[string]any{"exp": nil}, nil},
		"not yet valid":            {map[string]any{"nbf": now.Add(time.Hour).Unix()}, nil},
		"without a subject":        {map[string]any{"sub": ""}, nil},
		"of another key":           {nil, other.Sign},
		"without a signature":      {nil, i.Unsigned},
		"signed with the secret":   {nil, i.SignedWithSecret},
		"with a signature cut off": {nil, func(h, c string) string { s := i.Sign(h, c); return s[:len(s)-3] }},
		"that is none":             {nil, func(string, string) string { return "token" }},
		"that is empty":            {nil, func(string, string) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			i.Claims, i.Forge = map[string]any{"groups": "rule"}, c.forge
			for k, v := range c.claims {
				i.Claims[k] = v
			}
			if got, err := login(t, p); !errors.Is(err, auth.ErrLogin) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	i.Claims, i.Forge = map[string]any{"groups": "rule", "aud": []string{"shop", issuer.ClientID}, "azp": issuer.ClientID}, nil
	if _, err := login(t, p); err != nil {
		t.Errorf("for two, by this one: %v", err)
	}
}

func TestOnlyTheBrowserThatBeganFinishes(t *testing.T) {
	i := issuer.New(t)
	i.Claims = map[string]any{"groups": "rule"}
	p := provider(t, configOf(i))
	begin := func() (idp.Flow, url.Values) {
		flow, there, err := p.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return flow, visit(t, there)
	}
	theirs, _ := begin()
	for name, change := range map[string]func(*idp.Flow, url.Values){
		"a browser that began nothing":   func(f *idp.Flow, _ url.Values) { *f = idp.Flow{} },
		"no state on either side":        func(f *idp.Flow, q url.Values) { f.State = ""; q.Del("state") },
		"a browser that began another":   func(f *idp.Flow, _ url.Values) { *f = theirs },
		"another state":                  func(_ *idp.Flow, q url.Values) { q.Set("state", theirs.State) },
		"no state":                       func(_ *idp.Flow, q url.Values) { q.Del("state") },
		"another provider":               func(_ *idp.Flow, q url.Values) { q.Set("iss", "https://evil.example") },
		"whoever said no":                func(_ *idp.Flow, q url.Values) { q.Set("error", "access_denied\x1b[2J") },
		"another code":                   func(_ *idp.Flow, q url.Values) { q.Set("code", "x") },
		"no code":                        func(_ *idp.Flow, q url.Values) { q.Del("code") },
		"a thief of the code":            func(f *idp.Flow, _ url.Values) { f.Verifier = theirs.Verifier },
		"a thief of the code, otherwise": func(f *idp.Flow, _ url.Values) { f.Nonce = theirs.Nonce },
	} {
		flow, back := begin()
		change(&flow, back)
		if got, err := p.Finish(t.Context(), flow, back); !errors.Is(err, auth.ErrLogin) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	flow, back := begin()
	replica := provider(t, configOf(i))
	if _, err := replica.Finish(t.Context(), flow, back); err != nil {
		t.Errorf("the right one, at another replica: %v", err)
	}
	if _, err := p.Finish(t.Context(), flow, back); !errors.Is(err, auth.ErrLogin) {
		t.Errorf("a second time: %v", err)
	}
}

func TestAProviderThatIsDownComesBack(t *testing.T) {
	i := issuer.New(t)
	i.Claims = map[string]any{"groups": "rule"}
	now := time.Now()
	cfg := configOf(i)
	cfg.Now = func() time.Time { return now }
	p := provider(t, cfg)
	asked, down := 0, true
	i.Answer = func(w http.ResponseWriter, r *http.Request) bool {
		asked++
		if down {
			http.Error(w, "down", http.StatusBadGateway)
		}
		return down
	}
	for range 3 {
		if _, _, err := p.Begin(t.Context()); !errors.Is(err, auth.ErrProvider) {
			t.Errorf("%v", err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times at once", asked)
	}
	down, now = false, now.Add(10*time.Second)
	if _, err := login(t, p); err != nil {
		t.Errorf("it is back: %v", err)
	}
	flow, there, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back := visit(t, there)
	down = true
	if _, err := p.Finish(t.Context(), flow, back); !errors.Is(err, auth.ErrProvider) {
		t.Errorf("down in the middle: %v", err)
	}
}

func TestAnAnswerWithoutEndIsNotRead(t *testing.T) {
	i := issuer.New(t)
	p := provider(t, configOf(i))
	i.Answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/token" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"`)
		for range 64 {
			fmt.Fprint(w, strings.Repeat("x", 1<<20))
		}
		return true
	}
	began := time.Now()
	if got, err := login(t, p); !errors.Is(err, auth.ErrProvider) || time.Since(began) > 5*time.Second {
		t.Errorf("%+v, %v", got, err)
	}
}

// A code and the client's secret are not for whom the provider's server points
// to.
func TestRedirectsOfTheProviderAreNotFollowed(t *testing.T) {
	i := issuer.New(t)
	p := provider(t, configOf(i))
	followed := false
	i.Answer = func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/token":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/elsewhere":
			followed = true
		default:
			return false
		}
		return true
	}
	if _, err := login(t, p); err == nil || followed {
		t.Errorf("followed %t, %v", followed, err)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	good := idp.Config{Issuer: "https://login.example.com", ClientID: "ota", Roles: roles}
	if p, err := idp.New(good, redirect); err != nil || p.Host() != "login.example.com" {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*idp.Config){
		"no issuer":             func(c *idp.Config) { c.Issuer = "" },
		"no URL":                func(c *idp.Config) { c.Issuer = "login.example.com" },
		"readable on the way":   func(c *idp.Config) { c.Issuer = "http://login.example.com" },
		"a password in the URL": func(c *idp.Config) { c.Issuer = "https://a:b@login.example.com" },
		"no client":             func(c *idp.Config) { c.ClientID = "" },
		"no roles":              func(c *idp.Config) { c.Roles = nil },
		"a role for everybody":  func(c *idp.Config) { c.Roles = map[string]auth.Role{"": auth.Viewer} },
		"no such role":          func(c *idp.Config) { c.Roles = map[string]auth.Role{"x": auth.NoRole} },
	} {
		c := good
		change(&c)
		if _, err := idp.New(c, redirect); !errors.Is(err, idp.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
