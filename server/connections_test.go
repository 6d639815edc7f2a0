package server_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
)

// held opens connections that nothing is asked on.
func held(t *testing.T, address string, n int) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns = append(conns, conn)
	}
	return conns
}

func TestOneConnectionTooManyIsToldSo(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*server.Config){
		"in all":         func(c *server.Config) { c.MaxConnections = 4 },
		"of one address": func(c *server.Config) { c.MaxConnectionsPerAddress = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := otatest.New(t, otatest.Options{Config: limit})
			conns := held(t, s.Server.PlainAddr().String(), 4) // both listeners count together
			for range 2 {                                      // the refused connection is not counted for ever
				for _, base := range []string{s.PlainURL, s.URL} {
					status, retry, err := fresh(t, s, base)
					if status != http.StatusServiceUnavailable || retry == "" {
						t.Errorf("%s: status %d, Retry-After %q, %v", base, status, retry, err)
					}
				}
			}
			conns = append(conns, held(t, s.Server.PlainAddr().String(), 4)...)
			// At twice the bound nothing is answered.
			conn := held(t, s.Server.PlainAddr().String(), 1)[0]
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprint(conn, "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
			if n, err := io.Copy(io.Discard, conn); n != 0 || isTimeout(err) {
				t.Errorf("answered with %d bytes, %v", n, err)
			}
			for _, conn := range conns {
				conn.Close()
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				status, _, err := fresh(t, s, s.URL)
				if status == http.StatusNotFound {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("after the others were closed: status %d, %v", status, err)
				}
			}
		})
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// fresh asks for nothing on a connection of its own, of HTTP/2 where there is
// TLS.
func fresh(t *testing.T, s *otatest.System, base string) (status int, retryAfter string, err error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(base + "/v1/nothing")
	if err != nil {
		return 0, "", err
	}
	resp.Body.Close()
	if base == s.URL && resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d on TLS", resp.ProtoMajor)
	}
	return resp.StatusCode, resp.Header.Get("Retry-After"), nil
}
