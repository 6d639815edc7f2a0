package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

var errNo = errors.New("no")

// serve answers checks with their own bodies, and everything else with "other"
// and the body. It returns the address.
func serve(t *testing.T, change func(*Config)) (l *Listener, addr string) {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Check: func(_ context.Context, _ string, raw []byte) ([]byte, error) {
			switch string(raw) {
			case "fail":
				return nil, errNo
			case "boom":
				panic("boom")
			}
			return append([]byte("answer to "), raw...), nil
		},
		Fail: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, r.Method+" "+r.URL.Path+" "+err.Error(), http.StatusTeapot)
		},
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	l = Listen(plain, cfg)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "other %s", body)
	})}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Wait(ctx); err != nil {
			t.Errorf("connections are left: %v", err)
		}
	})
	return l, plain.Addr().String()
}

// A client is one connection.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) expect(status int, body string) *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || string(got) != body {
		c.t.Fatalf("%s %q, %v; want %d %q", resp.Status, got, err, status, body)
	}
	return resp
}

func check(body, headers string) string {
	return fmt.Sprintf("POST /v1/check HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/cose\r\nContent-Length: %d\r\n\r\n%s", headers, len(body), body)
}

func TestChecksAreAnswered(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, nil)
	c := dial(t, addr)
	for _, body := range []string{"a", "", strings.Repeat("long", 400)} {
		c.send(check(body, ""))
		resp := c.expect(200, "answer to "+body)
		if got := resp.Header; got.Get("Content-Type") != "application/cose" || got.Get("Cache-Control") != "no-store" || got.Get("Date") == "" {
			t.Errorf("header %v", got)
		}
	}
	// Many at once, and one in as many pieces as it has bytes.
	c.send(check("1", "") + check("2", "") + check("3", "")[:20])
	c.expect(200, "answer to 1")
	c.expect(200, "answer to 2")
	for _, b := range []byte(check("3", "")[20:]) {
		c.send(string(b))
	}
	c.expect(200, "answer to 3")
}

func TestAFailureIsAnsweredAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, nil)
	c := dial(t, addr)
	c.send(check("fail", "") + check("more", ""))
	c.expect(http.StatusTeapot, "POST /v1/check no\n")
	c.expect(200, "answer to more")
}

func TestEverythingElseIsForNetHTTP(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, nil)
	for name, first := range map[string]string{
		"another path":       "GET /v1/firmware/x HTTP/1.1\r\nHost: x\r\n\r\n",
		"an unknown header":  check("", "X-Strange: 1\r\n"),
		"a long check":       check(strings.Repeat("x", 3000), ""),
		"a very long header": check("", "User-Agent: "+strings.Repeat("x", 3000)+"\r\n"),
		"not HTTP":           "\x16\x03\x01 hello\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, addr)
			c.send(check("a", ""))
			c.expect(200, "answer to a")
			c.send(first)
			if name == "not HTTP" {
				c.expect(400, "400 Bad Request")
				return
			}
			_, body, _ := strings.Cut(first, "\r\n\r\n")
			c.expect(200, "other "+body)
			c.send(check("b", "")) // from now on net/http has the connection
			c.expect(200, "other b")
		})
	}
}

// The request that net/http takes over may have come in part, with another one
// behind it.
func TestNothingIsLostOnTheWayToNetHTTP(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, nil)
	other := strings.Replace(check("body", ""), "/v1/check", "/v1/other", 1)
	stream := check("a", "") + other + check("b", "")
	for at := range len(stream) {
		c := dial(t, addr)
		c.send(stream[:at])
		time.Sleep(time.Millisecond) // so that it comes in two pieces
		c.send(stream[at:])
		c.expect(200, "answer to a")
		c.expect(200, "other body")
		c.expect(200, "other b")
		c.Close()
	}
}

func TestAConnectionThatIsNotMine(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, func(c *Config) { c.Mine = func(net.Conn) bool { return false } })
	c := dial(t, addr)
	c.send(check("a", ""))
	c.expect(200, "other a")
}

func TestAPanicEndsOneConnection(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, nil)
	c, other := dial(t, addr), dial(t, addr)
	c.send(check("boom", ""))
	if _, err := http.ReadResponse(c.in, nil); err == nil {
		t.Error("it was answered")
	}
	other.send(check("a", ""))
	other.expect(200, "answer to a")
}

// A header that never ends, a body that never comes and a connection on which
// nothing is ever asked are each cut in their time.
func TestWhoIsSlowIsCut(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, nil)
	for name, c := range map[string]struct {
		first string
		after time.Duration
	}{
		"nothing":       {"", headerTimeout},
		"a header":      {check("", "")[:40], headerTimeout},
		"a body":        {check("body", "")[:len(check("body", ""))-1], requestTimeout},
		"second header": {check("a", "") + check("", "")[:40], headerTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, began := dial(t, addr), time.Now()
			conn.send(c.first)
			if strings.HasPrefix(c.first, check("a", "")) {
				conn.expect(200, "answer to a")
			}
			_, err := conn.in.ReadByte()
			if took := time.Since(began); !errors.Is(err, io.EOF) || took < c.after-time.Second || took > c.after+8*time.Second {
				t.Errorf("%v after %s, want the end after %s", err, took, c.after)
			}
		})
	}
}

func TestCloseAnswersWhatIsAskedAndEndsTheRest(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	l, addr := serve(t, func(c *Config) {
		c.Check = func(context.Context, string, []byte) ([]byte, error) {
			close(asked)
			<-answer
			return []byte("late"), nil
		}
	})
	silent, begun, running := dial(t, addr), dial(t, addr), dial(t, addr)
	begun.send("POST /v1/ch")
	running.send(check("a", ""))
	<-asked
	l.Close()
	for _, c := range []*client{silent, begun} {
		if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("%v, want the end", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v while a check was being answered", err)
	}
	close(answer)
	running.expect(200, "late")
	if _, err := running.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
	if err := l.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// A client that asks and asks and never reads holds a connection, and nothing
// that grows.
func TestWhoNeverReadsHoldsNoMoreThanAConnection(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	answers := 0
	_, addr := serve(t, func(c *Config) {
		c.Check = func(context.Context, string, []byte) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			answers++
			return make([]byte, 1000), nil
		}
	})
	c := dial(t, addr)
	c.SetWriteDeadline(time.Now().Add(3 * time.Second))
	request := []byte(strings.Repeat(check("a", ""), 100))
	for {
		if _, err := c.Write(request); err != nil {
			break
		}
	}
	mu.Lock()
	before := answers
	mu.Unlock()
	time.Sleep(200 * time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	if answers != before || answers > 100_000 {
		t.Errorf("%d checks were answered that nobody reads, then %d", before, answers)
	}
}

// Nor does it hold the connection for ever: others could not have it, and a
// server that ends would wait for it.
func TestWhoNeverReadsIsCut(t *testing.T) {
	t.Parallel()
	l, addr := serve(t, func(c *Config) {
		c.Check = func(context.Context, string, []byte) ([]byte, error) { return make([]byte, 1000), nil }
	})
	c := dial(t, addr)
	c.SetWriteDeadline(time.Now().Add(time.Second))
	c.send("POST /v1/check HTTP/1.1\r\n") // from now on there is always an unfinished request
	request := []byte(strings.TrimPrefix(strings.Repeat(check("a", ""), 100), "POST /v1/check HTTP/1.1\r\n") + "POST /v1/check HTTP/1.1\r\n")
	for {
		if _, err := c.Write(request); err != nil {
			break
		}
	}
	for end := time.Now().Add(answerTimeout + 5*time.Second); l.open() > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection is still open")
		}
	}
}

// A server that does not wait any longer ends what is left.
func TestCutEndsWhoNeverReads(t *testing.T) {
	t.Parallel()
	l, addr := serve(t, func(c *Config) {
		c.Check = func(context.Context, string, []byte) ([]byte, error) { return make([]byte, 1000), nil }
	})
	c := dial(t, addr)
	c.SetWriteDeadline(time.Now().Add(time.Second))
	request := []byte(strings.Repeat(check("a", ""), 100))
	for {
		if _, err := c.Write(request); err != nil {
			break
		}
	}
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v while an answer waits to be taken", err)
	}
	l.Cut()
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := l.Wait(ctx); err != nil {
		t.Error("the connection is still open")
	}
}

func (l *Listener) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}
