package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/sbom"
	"github.com/secure-ota/secure-ota/otatest"
)

// An intruder is an administrator's token in the hands of somebody who sends
// whatever he likes: what the API must stand with the highest role it stands
// with every other.
type intruder struct {
	*world
	bearer
}

func newIntruder(t *testing.T) *intruder {
	w := newWorld(t)
	return &intruder{w, w.bearer("intruder", auth.Administrator, auth.Scope{}, "")}
}

// refused wants a request to be refused as the client's fault, and nothing to
// be changed by it.
func (i *intruder) refused(what string, r right, path, contentType, body string) {
	i.t.Helper()
	before := i.head()
	status, answer := i.try(i.bearer, r.route.Method, path, contentType, body)
	if status < 400 || status >= 500 || status == 401 || status == 403 || status == 429 {
		i.t.Errorf("%s: %s %.120s: status %d: %.120s\n%.200s", what, r.route.Method, path, status, answer, body)
	}
	if !strings.HasPrefix(answer, "{") {
		i.t.Errorf("%s: the answer is no problem in JSON: %.100s", what, answer)
	}
	for _, record := range must(i.m.AuditRecords(i.t.Context(), audit.Filter{After: before}))(i.t) {
		if !strings.HasPrefix(record.Action, "refused") && record.Actor != "system" {
			i.t.Errorf("%s: refused, and changed something: %s", what, record)
		}
	}
}

// member finds the first member of an object.
var member = regexp.MustCompile(`^\{("[a-z_]+"):("[^"]*"|\[[^]]*\]|\{[^}]*\}|[a-z0-9]+)`)

// distorted returns bodies that no reader should take for the one given.
func distorted(body string) map[string]string {
	first := member.FindStringSubmatch(body)
	rest := strings.TrimPrefix(body, "{")
	name, value := first[1], first[2]
	return map[string]string{
		"an unknown member":       `{"surprise":true,` + rest,
		"a member twice":          `{` + name + `:` + value + `,` + rest,
		"a member in other case":  `{` + strings.ToUpper(name) + `:` + value + `,` + rest,
		"data after the body":     body + `{}`,
		"a comma too much":        strings.TrimSuffix(body, "}") + `,}`,
		"a comment":               `{/**/` + rest,
		"a list":                  `[` + body + `]`,
		"a word":                  `"x"`,
		"nothing":                 ``,
		"cut short":               body[:len(body)-1],
		"another kind of value":   `{` + name + `:[[1]],` + strings.TrimPrefix(rest[len(name)+1+len(value):], ","),
		"deep":                    `{` + name + `:` + strings.Repeat(`[`, 20_000),
		"deep objects":            strings.Repeat(`{"a":`, 10_000),
		"too long":                `{"surprise":"` + strings.Repeat("x", 70_000) + `",` + rest,
		"spaces without end":      strings.Repeat(" ", 3<<20) + body,
		"no UTF-8":                `{"` + "\xff" + `":1,` + rest,
		"half a surrogate":        `{"\ud800":1,` + rest,
		"a byte order mark":       "\ufeff" + body,
		"UTF-16":                  "{\x00\"\x00",
		"a number beyond numbers": `{"surprise":1e999999,` + rest,
		"a null character":        "\x00" + body,
	}
}

func TestABodyThatIsNotTheOneDescribedIsRefused(t *testing.T) {
	i := newIntruder(t)
	bodies := 0
	for _, r := range rights {
		path, contentType, body := r.ask(i.world)
		if contentType != "application/json" || r.action == "sbom.add" { // a file of others, who say what is in it
			continue
		}
		bodies++
		for what, bad := range distorted(body) {
			i.refused(what, r, path, contentType, bad)
		}
		for _, other := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/cbor", "text/json", "application/json2"} {
			i.refused("as "+other, r, path, other, body)
		}
	}
	if bodies < 10 {
		t.Errorf("%d routes take JSON", bodies)
	}
}

func TestABundleThatIsNoneIsRefused(t *testing.T) {
	i := newIntruder(t)
	for _, r := range rights {
		path, contentType, body := r.ask(i.world)
		if contentType != "application/cbor" {
			continue
		}
		for what, bad := range map[string]string{
			"nothing": "", "a byte": "\x00", "JSON": `{}`, "cut short": body[:len(body)-1], "a byte too much": body + "\x00",
			"a length that is not there": "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "deep": strings.Repeat("\x81", 100_000), "indefinite": "\xbf\xff",
			"too long": body + strings.Repeat("\x00", 300_000), "twice": body + body,
		} {
			i.refused(what, r, path, contentType, bad)
		}
		i.refused("as JSON", r, path, "application/json", body)
	}
}

// hostileNames are names that would lead somewhere else, or break a line, a
// query or a page.
var hostileNames = []string{
	"..", ".", "%2e%2e", "..%2f..%2fota.db", "%2fetc%2fpasswd", "..%5c..%5cota.db", "a%00b", "%0d%0aX-Injected:%201", "%1b%5b31m", "%ff%fe",
	"%e2%80%ae", "'%20OR%201=1--", "%3Cscript%3E", "%24%7Bjndi:x%7D", "%25252e", "*", "a;b", "~root", strings.Repeat("a", 3000), "CON", "-rf", "%20",
}

func TestAHostileNameLeadsNowhere(t *testing.T) {
	i := newIntruder(t)
	placeholder := regexp.MustCompile(`\{[a-z]+\}`)
	paths := 0
	for _, r := range rights {
		places := placeholder.FindAllStringIndex(r.route.Path, -1)
		if len(places) == 0 {
			continue
		}
		_, contentType, body := r.ask(i.world)
		for _, at := range places {
			for _, name := range hostileNames {
				path := r.route.Path[:at[0]] + name + r.route.Path[at[1]:]
				path = strings.NewReplacer("{type}", "sensor_v1", "{id}", "dev-1", "{name}", "nobody", "{digest}", strings.Repeat("0", 64), "{action}", "start").Replace(path)
				if r.route.Path == "/api/v1/device-types/{type}" && name == "sensor_v1" {
					continue
				}
				paths++
				i.refused(fmt.Sprintf("%.40q", name), r, path+"?size=5", contentType, body)
			}
		}
	}
	if paths < 200 {
		t.Errorf("%d paths were tried", paths)
	}
}

// A query that means nothing is refused, or means nothing; never a failure.
func TestAHostileQueryIsNoFailure(t *testing.T) {
	i := newIntruder(t)
	for _, r := range rights {
		if r.route.Method != "GET" {
			continue
		}
		path, _, _ := r.ask(i.world)
		path, _, _ = strings.Cut(path, "?")
		for _, name := range contract().queries(r.route.Path) {
			for _, value := range []string{"-1", "9223372036854775808", "' OR 1=1 --", "\x00\n\xff", strings.Repeat("(", 2000), "id~" + strings.Repeat("*a", 500), "2030-13-45", "-"} {
				status, answer := i.try(i.bearer, "GET", path+"?"+name+"="+escape(value), "", "")
				if status >= 500 || status == 403 || status == 401 {
					t.Errorf("%s?%s=%.40q: status %d: %.200s", path, name, value, status, answer)
				}
			}
		}
		if status, answer := i.try(i.bearer, "GET", path+"?%zz&;=&a=%", "", ""); status >= 500 {
			t.Errorf("%s: status %d: %.200s", path, status, answer)
		}
	}
}

func escape(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

func TestAMethodThatThereIsNotIsRefused(t *testing.T) {
	i := newIntruder(t)
	for _, method := range []string{"PUT", "PATCH", "DELETE", "POST", "OPTIONS", "TRACE", "CONNECT2", "PROPFIND", "get"} {
		i.refused(method, right{route: rights[0].route}, "/api/v1/nothing", "", "")
		status, _ := i.try(i.bearer, method, "/api/v1/info", "", "")
		if status != 405 {
			t.Errorf("%s of info: status %d", method, status)
		}
	}
}

// A long body is held in memory, and may take its time. Who may not send one is
// told so before anything is said about it, let alone read.
func TestWhoMayNotAddAnSBOMIsNotListenedTo(t *testing.T) {
	w := newWorld(t)
	viewer := w.bearer("viewer", auth.Viewer, auth.Scope{}, "")
	if status, answer := w.try(viewer, "POST", "/api/v1/sboms", "application/json", strings.Repeat(" ", sbom.MaxSize+1)); status != http.StatusForbidden {
		t.Errorf("status %d: %s", status, answer)
	}
}

// Each login is a record of its own. Who has a token, if a viewer's, does not
// fill the log with them, nor the table of sessions.
func TestNobodyFillsTheLogWithLogins(t *testing.T) {
	s := otatest.New(t)
	token := must(s.Management().AddToken(t.Context(), auth.NewOperator{Name: "eager", Role: auth.Viewer}))(t)
	var refused *http.Response
	for range 3 * 30 {
		form := strings.NewReader(url.Values{"token": {token.Reveal()}}.Encode())
		req := must(http.NewRequest("POST", s.URL+"/login", form))(t)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp := must(s.HTTPClient().Transport.RoundTrip(req))(t)
		resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests {
			refused = resp
		}
	}
	opened := must(s.Management().AuditRecords(t.Context(), audit.Filter{Action: "session.open", Limit: 1000}))(t)
	if len(opened) < 20 || len(opened) > 40 {
		t.Errorf("%d sessions were opened", len(opened))
	}
	if refused == nil || refused.Header.Get("Retry-After") == "" {
		t.Errorf("refused: %v", refused)
	}
}
