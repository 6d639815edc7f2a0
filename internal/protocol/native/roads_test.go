package native_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

// A check is answered by package front, or with one header that front does not
// know by net/http. Nobody can tell which it was.
func TestBothRoadsAnswerAlike(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("firmware"))
	d := keyed(t, s, "dev-0001")
	other := keyed(t, s, "dev-0002")
	broken := d.seal(d.request())
	broken[len(broken)-1] ^= 1
	stranger := d.request()
	stranger.Device = "dev-0003"
	for name, raw := range map[string]func() []byte{
		"a release":         func() []byte { return d.seal(d.request()) },
		"a wrong MAC":       func() []byte { return broken },
		"another's key":     func() []byte { return other.seal(d.request()) },
		"nobody's device":   func() []byte { return d.seal(stranger) },
		"no message":        func() []byte { return []byte("hello") },
		"nothing":           func() []byte { return nil },
		"another's message": func() []byte { return d.seal(d.report(trust.EventConfirmed, 1, d.request().ImageDigest)) },
	} {
		near, far := onConn(t, s, raw(), ""), onConn(t, s, raw(), "X-Other: 1\r\n")
		if near.status != far.status {
			t.Errorf("%s: status %d, by net/http %d", name, near.status, far.status)
		}
		if a, b := fieldsOf(near), fieldsOf(far); !slices.Equal(a, b) {
			t.Errorf("%s: header fields %q, by net/http %q", name, a, b)
		}
		for _, field := range []string{"Content-Type", "Cache-Control", "WWW-Authenticate", "Retry-After"} {
			if a, b := near.header.Get(field), far.header.Get(field); a != b {
				t.Errorf("%s: %s: %q, by net/http %q", name, field, a, b)
			}
		}
		if near.status != http.StatusOK {
			var a, b map[string]any
			if err := json.Unmarshal(near.body, &a); err != nil {
				t.Fatalf("%s: %q: %v", name, near.body, err)
			}
			if err := json.Unmarshal(far.body, &b); err != nil {
				t.Fatal(err)
			}
			delete(a, "request_id")
			delete(b, "request_id")
			if !maps.Equal(a, b) {
				t.Errorf("%s: %v, by net/http %v", name, a, b)
			}
		}
	}
}

// The limit of an address counts what comes by either road.
func TestBothRoadsHaveOneRate(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	status := 0
	for i := range 1200 {
		header := ""
		if i%2 == 1 {
			header = "X-Other: 1\r\n"
		}
		got := onConn(t, s, []byte("no message"), header)
		if status = got.status; status == http.StatusTooManyRequests {
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if i < 400 {
				t.Errorf("refused after %d requests", i)
			}
			return
		}
	}
	t.Errorf("1,200 requests were taken, the last with status %d", status)
}

// onConn sends a check on a connection of its own.
func onConn(t *testing.T, s *otatest.System, raw []byte, header string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", s.Server.PlainAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/check HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/cose\r\nContent-Length: %d\r\n\r\n%s", header, len(raw), raw)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

func fieldsOf(a answer) []string { return slices.Sorted(maps.Keys(a.header)) }
