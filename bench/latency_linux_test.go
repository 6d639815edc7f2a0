package bench

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// latencies sends checks at 1,000 a second over a few connections, whatever
// the server does, and returns how long each took from when it was due.
func (f *field) latencies(t *testing.T, addr string, count int) []time.Duration {
	t.Helper()
	const lanes = 20
	requests, _ := f.checks(t, count)
	took := make([]time.Duration, count)
	started := time.Now()
	var working sync.WaitGroup
	for lane := range lanes {
		working.Go(func() {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, 0, byte(1+lane))}}
			conn, err := dialer.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for i := lane; i < count; i += lanes {
				due := started.Add(time.Duration(i) * time.Millisecond)
				time.Sleep(time.Until(due))
				conn.Write(requests[i])
				resp, err := http.ReadResponse(in, nil)
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("check %d: %v, %v", i, resp, err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				took[i] = time.Since(due)
			}
		})
	}
	working.Wait()
	return took
}

func p99(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*99/100]
}

// firstAnswer waits for the first answer to a check, and returns when it came.
func (f *field) firstAnswer(t *testing.T, addr string) time.Time {
	t.Helper()
	requests, questions := f.checks(t, 1)
	l := connect(t, addr, 1)
	err := l.run(requests, func(i int, body []byte) error { return questions[i].verify(body) })
	if err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// bigDigest returns the digest of the image that downloads are of.
func (f *field) bigDigest(t *testing.T, size int) string {
	t.Helper()
	if f.big == "" {
		f.big = fmt.Sprintf("%x", sha256.Sum256(bigImage(size)))
	}
	return f.big
}

func bigImage(size int) []byte { return make([]byte, size) }

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func awaitPort(t *testing.T, addr string) {
	t.Helper()
	for range 200 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nobody listens at %s", addr)
}
