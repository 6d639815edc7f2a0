package console_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/otatest"
)

// A browser is what a test needs of one: cookies, and to say where a form
// stands.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

func newBrowser(t *testing.T, s *otatest.System) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := s.HTTPClient()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t, s.URL, client}
}

// An answer is a response whose body was read.
type answer struct {
	*http.Response
	text string
}

func (a answer) cookie() *http.Cookie {
	for _, c := range a.Cookies() {
		return c
	}
	return nil
}

// send sends a request with headers, name and value in turn.
func (b *browser) send(method, path, contentType string, body io.Reader, headers ...string) answer {
	b.t.Helper()
	req, err := http.NewRequest(method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp, string(raw)}
}

func (b *browser) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.send("GET", path, "", nil, headers...)
}

// post sends a form of this console.
func (b *browser) post(path string, form url.Values) answer {
	b.t.Helper()
	return b.send("POST", path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), "Sec-Fetch-Site", "same-origin")
}

// A file is a file field of a form.
type file struct {
	field string
	body  []byte
}

func (b *browser) postFiles(path string, files ...file) answer {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range files {
		part, err := w.CreateFormFile(f.field, f.field+".bin")
		if err == nil {
			_, err = part.Write(f.body)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	return b.send("POST", path, w.FormDataContentType(), &body, "Sec-Fetch-Site", "same-origin")
}

func (b *browser) login(token string) answer {
	b.t.Helper()
	return b.post("/login", url.Values{"token": {token}})
}

// loggedIn returns the browser of an operator with a role.
func loggedIn(t *testing.T, s *otatest.System, role auth.Role) *browser {
	t.Helper()
	token, err := s.Management().AddToken(t.Context(), auth.NewOperator{Name: role.String() + "-" + strings.ToLower(t.Name()[4:min(24, len(t.Name()))]), Role: role, Valid: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, s)
	if resp := b.login(token.Reveal()); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("login: status %d: %s", resp.StatusCode, resp.text)
	}
	return b
}

// page gets a page that must be there, and looks whether it is sound.
func (b *browser) page(path string) string {
	b.t.Helper()
	resp := b.get(path)
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: status %d: %s", path, resp.StatusCode, resp.text)
	}
	checkHTML(b.t, path, resp.text)
	return resp.text
}

func mustShow(t *testing.T, page string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

func mustNotShow(t *testing.T, page string, unwanted ...string) {
	t.Helper()
	for _, what := range unwanted {
		if strings.Contains(page, what) {
			t.Errorf("the page shows %q", what)
		}
	}
}

var void = map[string]bool{"meta": true, "link": true, "input": true, "br": true, "hr": true, "img": true}

// checkHTML fails if a page has elements that are not closed or not nested, an
// id twice, a field without a label, anything that its policy forbids, or a
// link that leads elsewhere.
func checkHTML(t *testing.T, path, page string) {
	t.Helper()
	var open, labels []string
	ids, fields := map[string]bool{}, []string{}
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		tok := z.Token()
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken:
			attr := map[string]string{}
			for _, a := range tok.Attr {
				if _, twice := attr[a.Key]; twice {
					t.Errorf("%s: <%s> has %s twice", path, tok.Data, a.Key)
				}
				attr[a.Key] = a.Val
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(a.Key, "hx-on") {
					t.Errorf("%s: <%s %s=%q> needs what the policy forbids", path, tok.Data, a.Key, a.Val)
				}
				if link := a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "hx-get" || a.Key == "hx-post"; link &&
					!strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") && !strings.HasPrefix(a.Val, "?") || strings.HasPrefix(a.Val, "//") {
					t.Errorf("%s: <%s %s=%q> leads elsewhere", path, tok.Data, a.Key, a.Val)
				}
			}
			if tok.Data == "script" && attr["src"] == "" || tok.Data == "style" {
				t.Errorf("%s: inline <%s>", path, tok.Data)
			}
			if id := attr["id"]; id != "" {
				if ids[id] {
					t.Errorf("%s: two elements have the id %s", path, id)
				}
				ids[id] = true
			}
			switch tok.Data {
			case "label":
				labels = append(labels, attr["for"])
			case "input", "select", "textarea":
				inLabel := false
				for _, o := range open {
					inLabel = inLabel || o == "label"
				}
				if !inLabel && attr["type"] != "hidden" && attr["aria-label"] == "" {
					fields = append(fields, attr["id"])
				}
			}
			if kind == html.StartTagToken && !void[tok.Data] {
				open = append(open, tok.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("%s: </%s> closes %v", path, tok.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("%s: never closed: %v", path, open)
	}
	for _, field := range fields {
		found := false
		for _, l := range labels {
			found = found || l != "" && l == field
		}
		if !found {
			t.Errorf("%s: field %q has no label", path, field)
		}
	}
}
