package console_test

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/idp"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/internal/testenv/issuer"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
)

// signedOn is a system whose people log in by a provider.
func signedOn(t *testing.T, change ...func(*server.Config)) (*otatest.System, *issuer.Issuer) {
	t.Helper()
	i := issuer.New(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String() // which browsers come back to, so it has to be known before
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	return otatest.New(t, otatest.Options{Config: func(c *server.Config) {
		c.TLSAddress, c.PublicURL = address, "https://"+address
		c.OIDC = &idp.Config{Issuer: i.URL, ClientID: issuer.ClientID, Secret: issuer.Secret, Roles: map[string]auth.Role{
			"watch": auth.Viewer, "ship": auth.Publisher, "run": auth.Approver, "rule": auth.Administrator,
		}}
		for _, f := range change {
			f(c)
		}
	}}), i
}

// goThere begins a login and goes to the provider, which sends the browser back
// to the path that is returned.
func (b *browser) goThere(next string) (back string) {
	b.t.Helper()
	resp := b.get("/login/oidc?next=" + next)
	if resp.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("status %d: %s", resp.StatusCode, resp.text)
	}
	there, err := b.client.Get(resp.Header.Get("Location"))
	if err != nil {
		b.t.Fatal(err)
	}
	there.Body.Close()
	back, ours := strings.CutPrefix(there.Header.Get("Location"), b.base)
	if !ours {
		b.t.Fatalf("the provider leads to %s", there.Header.Get("Location"))
	}
	return back
}

func (b *browser) signOn() answer {
	b.t.Helper()
	return b.get(b.goThere("/"))
}

func sessionIn(a answer) *http.Cookie {
	for _, c := range a.Cookies() {
		if c.Name == "__Host-ota" {
			return c
		}
	}
	return nil
}

func TestPeopleLogInByTheirProvider(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	b := newBrowser(t, s)
	mustShow(t, b.get("/devices?sort=seen").text, "Log in with localhost:", `href="/login/oidc?next=%2fdevices%3fsort%3dseen"`, "Operator token")

	i.Claims = map[string]any{"sub": "ann|7", "groups": []string{"run", "watch"}}
	resp := b.get(b.goThere("%2Fdevices%3Fsort%3Dseen"))
	c := sessionIn(resp)
	if resp.StatusCode != http.StatusOK || c == nil || resp.Header.Get("Refresh") != "0; url=/devices?sort=seen" {
		t.Fatalf("status %d, cookie %v, on to %q: %s", resp.StatusCode, c, resp.Header.Get("Refresh"), resp.text)
	}
	checkHTML(t, "welcome", resp.text)
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie %v", c)
	}
	mustShow(t, b.page("/"), "ann|7", "approver")
	mustNotShow(t, b.page("/settings"), "Operators&#39; tokens")

	records, err := s.Management().AuditRecords(t.Context(), auditOf("session.open"))
	if err != nil || len(records) != 1 || records[0].Actor != "oidc:ann|7" ||
		!strings.Contains(string(records[0].After), `"issuer":"`+i.URL+`","subject":"ann|7","role":"approver"`) {
		t.Errorf("%v, recorded %v", err, records)
	}
	if resp := b.post("/logout", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("logout: status %d", resp.StatusCode)
	}
	if resp := newBrowser(t, s).get("/", "Cookie", c.Name+"="+c.Value); resp.StatusCode != http.StatusUnauthorized {
		t.Error("a session lives on after its logout")
	}
	if resp := b.login(s.Token); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("with a token: status %d", resp.StatusCode)
	}
}

func TestALoginBelongsToOneBrowserOnce(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	i.Claims = map[string]any{"groups": "rule"}
	victim, attacker := newBrowser(t, s), newBrowser(t, s)
	back := attacker.goThere("/")
	// The attacker's link logs nobody else in as the attacker.
	if resp := victim.get(back); resp.StatusCode != http.StatusUnauthorized || sessionIn(resp) != nil || !strings.Contains(resp.text, "did not begin it") {
		t.Errorf("status %d: %s", resp.StatusCode, resp.text)
	}
	victim.goThere("/")
	if resp := victim.get(back); resp.StatusCode != http.StatusUnauthorized || sessionIn(resp) != nil {
		t.Errorf("with a login of its own under way: status %d", resp.StatusCode)
	}
	if resp := attacker.get(back); sessionIn(resp) == nil {
		t.Fatalf("its own: status %d: %s", resp.StatusCode, resp.text)
	}
	if resp := attacker.get(back); resp.StatusCode != http.StatusUnauthorized || sessionIn(resp) != nil {
		t.Errorf("a second time: status %d", resp.StatusCode)
	}
}

func TestALoginByTheProviderChangesTheSession(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	i.Claims = map[string]any{"groups": "rule"}
	b := newBrowser(t, s)
	old := b.login(s.Token).cookie().Value
	if id := sessionIn(b.signOn()).Value; id == old {
		t.Error("the session is the same")
	}
	if resp := newBrowser(t, s).get("/", "Cookie", "__Host-ota="+old); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the session before: status %d", resp.StatusCode)
	}
}

func TestWhoHasNoRoleIsTold(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	i.Claims = map[string]any{"sub": "<b>mallory</b>", "groups": []string{"<script>"}}
	for range 20 {
		resp := newBrowser(t, s).signOn()
		if resp.StatusCode == http.StatusTooManyRequests {
			break
		}
		if resp.StatusCode != http.StatusForbidden || sessionIn(resp) != nil {
			t.Fatalf("status %d: %s", resp.StatusCode, resp.text)
		}
		checkHTML(t, "refusal", resp.text)
		mustShow(t, resp.text, "the claim groups of &lt;b&gt;mallory&lt;/b&gt; has none of rule, run, ship, watch", "Ask whoever manages the groups")
		mustNotShow(t, resp.text, "<script>", "<b>mallory")
	}
	records, err := s.Management().AuditRecords(t.Context(), auditOf("refused.login"))
	if err != nil || len(records) == 0 || records[0].Actor != "oidc:<b>mallory</b>" {
		t.Errorf("%v, recorded %v", err, records)
	}
}

// The login page works while the provider does not, and says so. What is wrong
// with the network is nothing for strangers.
func TestTokensWorkWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	i.Answer = func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "upstream db-7.internal refused", http.StatusBadGateway)
		return true
	}
	b := newBrowser(t, s)
	resp := b.get("/login/oidc?next=/devices")
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", resp.StatusCode)
	}
	checkHTML(t, "/login/oidc", resp.text)
	mustShow(t, resp.text, "The identity provider does not answer.", "Operator token", `name="next" value="/devices"`)
	mustNotShow(t, resp.text, "db-7", "502", "answer..")
	if resp := b.login(s.Token); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("with a token: status %d", resp.StatusCode)
	}
}

func TestALoginByTheProviderLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	i.Claims = map[string]any{"groups": "watch"}
	for _, next := range []string{"//evil.example", "https:%2F%2Fevil.example", "%2F%5Cevil.example", "%2F%0D%0ASet-Cookie:x"} {
		b := newBrowser(t, s)
		if got := b.get(b.goThere(next)).Header.Get("Refresh"); got != "0; url=/" {
			t.Errorf("%s: %q", next, got)
		}
	}
}

func TestASessionOfAPersonEnds(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	s, i := signedOn(t, func(c *server.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	i.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	i.Claims = map[string]any{"groups": "watch"}
	b := newBrowser(t, s)
	b.signOn()
	for passed := time.Duration(0); passed < auth.SessionLife-auth.SessionIdle; passed += auth.SessionIdle / 2 {
		b.page("/")
		ahead.Add(int64(auth.SessionIdle / 2))
	}
	b.page("/")
	ahead.Add(int64(auth.SessionIdle))
	if resp := b.get("/"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestAPersonsSessionsAreRevoked(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	as := func(subject string) *browser {
		i.Claims = map[string]any{"sub": subject, "groups": "watch"}
		b := newBrowser(t, s)
		b.signOn()
		b.page("/")
		return b
	}
	left, again, stays := as("ann|7"), as("ann|7"), as("bob")
	if err := s.Remote().RevokeToken(t.Context(), "oidc:ann|7"); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*browser{left, again} {
		if resp := b.get("/"); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	stays.page("/")
	for _, name := range []string{"oidc:ann|7", "oidc:"} {
		if err := s.Remote().RevokeToken(t.Context(), name); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One person in two browsers, or under two prefixes, is one.
func TestTheSecondPersonIsNotTheSameOneAgain(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	settings := rollout.TypeSettings{DeviceType: otatest.DeviceType, Offer: rollout.Rollouts, Critical: true}
	if _, err := s.Management().SetDeviceType(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	release := s.Publish("1.0.0", []byte("one"))
	s.Device("dev-1")
	as := func(subject string) *browser {
		i.Claims = map[string]any{"sub": subject, "groups": "rule"}
		b := newBrowser(t, s)
		b.signOn()
		return b
	}
	author := as("ann")
	made := regexp.MustCompile(`ota_op_[\w-]+`).FindString(author.post("/settings/tokens", url.Values{"name": {"zed"}, "role": {"approver"}, "days": {"1"}}).text)
	if made == "" {
		t.Fatal("no token")
	}
	form := map[string][]string{"name": {"spring"}, "release": {release.Identity.String()}, "part1": {"100%"}}
	if resp := author.post("/new-rollout", form); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("status %d: %s", resp.StatusCode, resp.text)
	}
	if resp := author.post("/rollouts/spring/start", nil); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("status %d: %s", resp.StatusCode, resp.text)
	}
	if resp := as("ann").post("/rollouts/spring/approve", nil); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("herself in another browser: status %d", resp.StatusCode)
	}
	token, err := s.Management().AddToken(t.Context(), auth.NewOperator{Name: "ann", Role: auth.Approver})
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string]string{"of her name": token.Reveal(), "that she made": made} {
		b := newBrowser(t, s)
		b.login(secret)
		if resp := b.post("/rollouts/spring/approve", nil); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("with a token %s: status %d", what, resp.StatusCode)
		}
	}
	if resp := as("bob").post("/rollouts/spring/approve", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("somebody else: status %d: %s", resp.StatusCode, resp.text)
	}
}

// The provider is another site, so a browser sends along what it would with a
// real one, and holds the page's policy against where the login leads.
func TestALoginByTheProviderInABrowser(t *testing.T) {
	t.Parallel()
	s, i := signedOn(t)
	i.Claims = map[string]any{"sub": "ann", "groups": "watch"}
	w := openWindow(t, s.URL, 1200, 900)
	w.open("/releases")
	w.do(chromedp.Click(`a[href^="/login/oidc"]`, chromedp.NodeVisible))
	w.see("Log out", "ann")
	w.waitFor(`location.pathname === "/releases"`)
	w.open("/devices")
	w.see("No devices yet")
}
