package front

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

const good = "POST /v1/check HTTP/1.1\r\nHost: ota.example.com\r\nContent-Type: application/cose\r\nContent-Length: 4\r\n\r\nbody"

func TestParse(t *testing.T) {
	t.Parallel()
	with := func(header string) string { return strings.Replace(good, "Host:", header+"\r\nHost:", 1) }
	without := func(part string) string { return strings.Replace(good, part, "", 1) }
	for name, c := range map[string]struct {
		raw  string
		want verdict
	}{
		"a check":                     {good, complete},
		"in lower case":               {strings.NewReplacer("Host", "host", "Content-Type", "content-type", "Content-Length", "content-length").Replace(good), complete},
		"without spaces":              {strings.ReplaceAll(good, ": ", ":"), complete},
		"what clients send, too":      {with("User-Agent: libota/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nConnection: keep-alive"), complete},
		"two of them":                 {good + good, complete},
		"no body":                     {strings.Replace(good, "Length: 4", "Length: 0", 1), complete},
		"nothing":                     {"", incomplete},
		"a part of the line":          {good[:10], incomplete},
		"a part of the header":        {good[:60], incomplete},
		"a part of the body":          {good[:len(good)-1], incomplete},
		"another method":              {strings.Replace(good, "POST", "GET", 1), elsewhere},
		"another path":                {strings.Replace(good, "check", "chuck", 1), elsewhere},
		"a query":                     {strings.Replace(good, "check", "check?a", 1), elsewhere},
		"HTTP/1.0":                    {strings.Replace(good, "1.1", "1.0", 1), elsewhere},
		"JSON":                        {strings.Replace(good, "cose", "json", 1), elsewhere},
		"a media type with parameter": {strings.Replace(good, "cose", "cose; a=b", 1), elsewhere},
		"no host":                     {without("Host: ota.example.com\r\n"), elsewhere},
		"an empty host":               {without("ota.example.com"), elsewhere},
		"a strange host":              {strings.Replace(good, "ota.", "ota/.", 1), elsewhere},
		"no length":                   {without("Content-Length: 4\r\n"), elsewhere},
		"no type":                     {without("Content-Type: application/cose\r\n"), elsewhere},
		"two lengths":                 {with("Content-Length: 4"), elsewhere},
		"two hosts":                   {with("Host: a"), elsewhere},
		"a signed length":             {strings.Replace(good, "Length: 4", "Length: +4", 1), elsewhere},
		"a length of five digits":     {strings.Replace(good, "Length: 4", "Length: 00004", 1), elsewhere},
		"more than fits":              {strings.Replace(good, "Length: 4", "Length: 4096", 1), elsewhere},
		"chunks":                      {with("Transfer-Encoding: chunked"), elsewhere},
		"an expectation":              {with("Expect: 100-continue"), elsewhere},
		"a client that ends":          {with("Connection: close"), elsewhere},
		"a token":                     {with("Authorization: Bearer x"), elsewhere},
		"a proxy's word":              {with("X-Forwarded-For: 192.0.2.1"), elsewhere},
		"a folded line":               {with("User-Agent: a\r\n b"), elsewhere},
		"a bare LF":                   {strings.Replace(good, "\r\nHost", "\nHost", 1), elsewhere},
		"a bare CR":                   {with("User-Agent: a\rb"), elsewhere},
		"a space before the colon":    {strings.Replace(good, "Host:", "Host :", 1), elsewhere},
		"a tab":                       {strings.Replace(good, ": 4", ":\t4", 1), elsewhere},
		"an empty line before it":     {"\r\n" + good, elsewhere},
	} {
		v, body, end := parse([]byte(c.raw))
		if v != c.want {
			t.Errorf("%s: verdict %d, want %d", name, v, c.want)
		}
		if v == complete && name != "no body" && c.raw[body:end] != "body" {
			t.Errorf("%s: body %q", name, c.raw[body:end])
		}
	}
}

// However a request arrives, each piece is taken for a part of it.
func TestParseAtEveryByte(t *testing.T) {
	t.Parallel()
	for n := range len(good) {
		if v, _, _ := parse([]byte(good[:n])); v != incomplete {
			t.Errorf("after %d bytes: verdict %d", n, v)
		}
	}
}

// FuzzParse holds what is answered here against net/http: what parse takes,
// net/http takes, with the same meaning, the same body, and the same rest. A
// difference would be a request that a proxy and the server see differently.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(good + good))
	f.Add([]byte(strings.Replace(good, "Host:", "User-Agent: a\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\nhOST:", 1)))
	f.Add([]byte(strings.Replace(good, "Host:", "Content-Length: 3\r\nHost:", 1)))
	f.Add([]byte(strings.Replace(good, "Host:", "Transfer-Encoding: chunked\r\nHost:", 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, from, end := parse(raw)
		if v != complete {
			return
		}
		in := bufio.NewReader(bytes.NewReader(raw))
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		if r.Method != "POST" || r.RequestURI != "/v1/check" || !r.ProtoAtLeast(1, 1) || r.Close || len(r.TransferEncoding) != 0 ||
			r.Host == "" || !strings.EqualFold(r.Header.Get("Content-Type"), "application/cose") || r.Header.Get("Expect") != "" {
			t.Errorf("net/http sees another request: %+v", r)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(body, raw[from:end]) {
			t.Errorf("net/http sees another body: %q, %v", body, err)
		}
		if rest, err := io.ReadAll(in); err != nil || !bytes.Equal(rest, raw[end:]) {
			t.Errorf("net/http sees another rest: %q, %v", rest, err)
		}
	})
}
