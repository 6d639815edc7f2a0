package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
)

// paths are all pages that exist on a server without devices and releases.
var paths = []string{"/", "/devices", "/rollouts", "/new-rollout", "/releases", "/releases/new", "/keys", "/audit", "/settings"}

func TestAStrangerSeesTheLoginFormAndNothingElse(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	s.Publish("1.2.3", []byte("image"))
	b := newBrowser(t, s)
	for _, path := range paths {
		resp := b.get(path)
		checkHTML(t, path, resp.text)
		mustShow(t, resp.text, "Operator token", `name="next" value="`+path+`"`)
		mustNotShow(t, resp.text, "1.2.3", otatest.Vendor, "<script")
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
	}
	if resp := b.get("/?live=1", "HX-Request", "true"); resp.Header.Get("HX-Refresh") != "true" {
		t.Error("a page that is left open does not go to the login")
	}
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := loggedIn(t, s, auth.Administrator)
	for _, path := range append(paths, "/nowhere", "/login") {
		h := b.get(path).Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s: %q", path, name, h.Get(name))
			}
		}
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %s", path, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: policy %s", path, policy)
		}
	}
}

func TestLoginAndLogout(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := newBrowser(t, s)
	if resp := b.login("wrong"); resp.StatusCode != http.StatusUnauthorized || resp.cookie() != nil || !strings.Contains(resp.text, `role="alert"`) {
		t.Errorf("a wrong token: status %d, cookie %v", resp.StatusCode, resp.cookie())
	}
	resp := b.login(" " + s.Token + "\n") // as it is pasted
	c := resp.cookie()
	if resp.StatusCode != http.StatusSeeOther || c == nil {
		t.Fatalf("status %d, cookie %v", resp.StatusCode, c)
	}
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") {
		t.Errorf("cookie %v", c)
	}
	if strings.Contains(c.Value, s.Token) {
		t.Error("the cookie holds the token")
	}
	mustNotShow(t, b.page("/"), s.Token, c.Value)

	if resp := b.post("/logout", nil); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("logout: status %d", resp.StatusCode)
	}
	stolen := b.get("/", "Cookie", c.Name+"="+c.Value)
	if stolen.StatusCode != http.StatusUnauthorized {
		t.Error("a session lives on after its logout")
	}
}

func TestLoginChangesTheSession(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := newBrowser(t, s)
	planted := "ota_ses_planted"
	resp := b.send("POST", "/login", "application/x-www-form-urlencoded", strings.NewReader(url.Values{"token": {s.Token}}.Encode()),
		"Sec-Fetch-Site", "same-origin", "Cookie", "__Host-ota="+planted)
	if resp.cookie() == nil || resp.cookie().Value == planted {
		t.Fatalf("the planted session was taken over: %v", resp.cookie())
	}
	first := resp.cookie().Value
	second := b.login(s.Token).cookie().Value
	if first == second {
		t.Error("two logins share a session")
	}
	for _, old := range []string{planted, first} {
		if resp := newBrowser(t, s).get("/", "Cookie", "__Host-ota="+old); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("the session %.12s… from before the login: status %d", old, resp.StatusCode)
		}
	}
}

// A page left open asks every few seconds: that must not keep the session of
// somebody who went home.
func TestASessionEndsWithoutUse(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}})
	b := newBrowser(t, s)
	b.login(s.Token)
	for range 4 { // used
		ahead.Add(int64(auth.SessionIdle / 2))
		b.page("/")
	}
	for range 2 { // only left open
		ahead.Add(int64(auth.SessionIdle / 2))
		b.get("/?live=0", "HX-Request", "true")
	}
	if resp := b.get("/"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d after an hour without use", resp.StatusCode)
	}
	b.login(s.Token)
	ahead.Add(int64(auth.SessionLife))
	if resp := b.get("/"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d after %s", resp.StatusCode, auth.SessionLife)
	}
}

func TestARevokedTokenEndsItsSessions(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := loggedIn(t, s, auth.Viewer)
	b.page("/")
	tokens, err := s.Management().Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		if token.Role == auth.Viewer {
			if err := s.Management().RevokeToken(t.Context(), token.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if resp := b.get("/"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// A form counts only if the browser says that it stands on a page of this
// console.
func TestFormsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := newBrowser(t, s)
	b.login(s.Token)
	form := url.Values{"name": {"evil"}, "role": {"administrator"}, "days": {"1"}, "token": {s.Token}}.Encode()
	for name, headers := range map[string][]string{
		"another site":                    {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"another port of this host":       {"Sec-Fetch-Site", "same-site", "Origin", "https://127.0.0.1:1"},
		"an old browser on another site":  {"Origin", "https://evil.example"},
		"a browser that hides its origin": {"Origin", "null"},
		"nobody knows what":               {},
	} {
		for _, path := range []string{"/login", "/logout", "/settings/tokens", "/audit/checkpoint", "/devices/sensor_v1/dev/revoke"} {
			resp := b.send("POST", path, "application/x-www-form-urlencoded", strings.NewReader(form), headers...)
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s, %s: status %d", name, path, resp.StatusCode)
			}
		}
	}
	tokens, err := s.Management().Tokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}
	b.page("/") // and nobody was logged out
}

func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := newBrowser(t, s)
	refused := false
	for range 30 {
		resp := b.login("ota_op_guess")
		if refused = resp.StatusCode == http.StatusTooManyRequests; refused {
			if resp.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
	}
	if !refused {
		t.Error("30 guesses were answered")
	}
	if resp := b.login(s.Token); resp.cookie() != nil {
		t.Error("who guessed learns that the last guess was right")
	}
}

func TestTheLoginLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	for next, want := range map[string]string{
		"/devices?filter=state%3Dsilent": "/devices?filter=state%3Dsilent",
		"":                               "/", "//evil.example": "/", `/\evil.example`: "/", "https://evil.example": "/", "javascript:alert(1)": "/", "/\t/evil.example": "/",
	} {
		resp := newBrowser(t, s).post("/login", url.Values{"token": {s.Token}, "next": {next}})
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestThereIsNoConsoleWithoutTLS(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := newBrowser(t, s)
	b.base = s.PlainURL
	if resp := b.get("/"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestAssetsAreKept(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := newBrowser(t, s)
	page := b.get("/").text
	_, after, _ := strings.Cut(page, `<link rel="stylesheet" href="`)
	path, _, _ := strings.Cut(after, `"`)
	resp := b.get(path)
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") || !strings.Contains(resp.text, "table") {
		t.Errorf("%s: status %d, %s", path, resp.StatusCode, resp.Header.Get("Cache-Control"))
	}
	old := "/static/00000000/style.css"
	if resp := b.get(old); resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: status %d, %s", old, resp.StatusCode, resp.Header.Get("Cache-Control"))
	}
	if resp := b.get("/static/0/page.go"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", resp.StatusCode)
	}
}
