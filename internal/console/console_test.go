package console_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/otatest"
)

func TestTheConsoleShowsAnOperatorWhatThereIs(t *testing.T) {
	s := otatest.New(t)
	s.Publish("1.2.3", []byte("image"))
	s.Device("dev-0001")
	client := s.HTTPClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	page, resp := get(t, client, s.URL+"/", nil)
	if !strings.Contains(page, "Log in") || strings.Contains(page, "1.2.3") {
		t.Errorf("a stranger sees %s", page)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if !strings.HasPrefix(resp.Header.Get(name), want) {
			t.Errorf("%s: %q", name, resp.Header.Get(name))
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "style=") {
		t.Error("the page needs what its own policy forbids")
	}

	if resp := login(t, client, s.URL, "wrong", nil); resp.StatusCode != http.StatusUnauthorized || len(resp.Cookies()) != 0 {
		t.Errorf("a wrong token: status %d, cookies %v", resp.StatusCode, resp.Cookies())
	}
	crossSite := http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
	if resp := login(t, client, s.URL, s.Token, crossSite); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a login from another site: status %d", resp.StatusCode)
	}
	resp = login(t, client, s.URL, s.Token, nil)
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		t.Fatalf("status %d, cookies %v", resp.StatusCode, resp.Cookies())
	}
	cookie := resp.Cookies()[0]
	if !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie %v", cookie)
	}
	page, _ = get(t, client, s.URL+"/", cookie)
	for _, want := range []string{"1.2.3", "dev-0001", "never seen", "release.publish", s.Fingerprint} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if strings.Contains(page, s.Token) {
		t.Error("the page shows the token")
	}
	if page, _ := get(t, client, s.URL+"/style.css", nil); !strings.Contains(page, "table") {
		t.Error("no style")
	}
}

func TestThereIsNoConsoleWithoutTLS(t *testing.T) {
	s := otatest.New(t)
	if _, resp := get(t, http.DefaultClient, s.PlainURL+"/", nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func get(t *testing.T, client *http.Client, url string, cookie *http.Cookie) (string, *http.Response) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != nil {
		req.AddCookie(cookie)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp
}

func login(t *testing.T, client *http.Client, base, token string, header http.Header) *http.Response {
	t.Helper()
	req, err := http.NewRequest("POST", base+"/login", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}
