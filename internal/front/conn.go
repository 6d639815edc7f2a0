package front

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// tcp is what net.TCPConn is. What is handed over is it, too: net/http then
// sends files by sendfile.
type tcp interface {
	net.Conn
	io.ReaderFrom
	syscall.Conn
	CloseWrite() error
}

// A conn is a connection on which nothing but checks was asked so far. While
// nothing has come it holds no buffer: most devices are silent most of the time.
type conn struct {
	tcp
	cfg    *Config
	remote string
	reader reader

	input  *[bufferSize]byte // from buffers; nil if nothing is unread
	unread int               // bytes of input

	until   time.Time // the deadline for what comes
	hurried bool      // it is that of a request which is not complete
	takeBy  time.Time // the deadline for answers to be taken
}

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func newConn(c tcp, cfg *Config) (*conn, error) {
	n := &conn{tcp: c, cfg: cfg, remote: c.RemoteAddr().String()}
	return n, n.reader.open(n)
}

// serve answers checks until the connection ends, or until something else is
// asked on it, which is for net/http. ending is asked before each wait.
func (c *conn) serve(ending func() bool) (over bool) {
	for began := time.Now(); ; { // the request that is not complete; zero: there is none
		v, body, end := incomplete, 0, 0
		if c.unread > 0 {
			v, body, end = parse(c.input[:c.unread])
		}
		switch {
		case v == elsewhere, v == incomplete && c.unread == bufferSize:
			return true
		case v == complete:
			if !c.answer(c.input[body:end]) {
				return false
			}
			c.unread = copy(c.input[:], c.input[end:c.unread])
			began = time.Time{}
			continue
		case c.unread == 0 && began.IsZero():
			c.release()
			c.idle(time.Now())
		default:
			if began.IsZero() {
				began = time.Now()
			}
			c.hurry(began, body > 0)
		}
		if ending() { // after the deadline was set: whoever wants an end sets another one
			return false
		}
		if err := c.reader.fill(c); err != nil {
			return false
		}
	}
}

// idle gives the other end time to ask something.
func (c *conn) idle(now time.Time) {
	if c.hurried || c.until.Sub(now) < idleTimeout-idleSlack {
		c.hurried, c.until = false, now.Add(idleTimeout)
		c.SetReadDeadline(c.until)
	}
}

// hurry gives the other end the time that a request may take.
func (c *conn) hurry(began time.Time, header bool) {
	until := began.Add(headerTimeout)
	if header {
		until = began.Add(requestTimeout)
	}
	if !c.hurried || !until.Equal(c.until) {
		c.hurried, c.until = true, until
		c.SetReadDeadline(until)
	}
}

// answer answers one check. It reports whether the connection is still good.
func (c *conn) answer(raw []byte) (good bool) {
	defer func() {
		if p := recover(); p != nil { // as in net/http, one request ends, and not the server
			c.cfg.Log.Error("front: panic", "address", c.remote, "panic", p, "stack", string(debug.Stack()))
			good = false
		}
	}()
	out := replies.Get().(*reply)
	defer out.release()
	body, err := c.cfg.Check(context.Background(), c.remote, raw)
	if err == nil {
		out.check(body)
	} else {
		c.cfg.Fail(out, &http.Request{
			Method: http.MethodPost, URL: &url.URL{Path: "/v1/check"}, RemoteAddr: c.remote, Header: http.Header{}, Body: http.NoBody,
		}, err)
		out.finish()
	}
	c.awaitTaking(time.Now())
	_, err = c.Write(out.raw)
	return err == nil
}

// awaitTaking gives the other end time to take an answer. Whoever asks without
// a pause is never idle: that deadline would not end it.
func (c *conn) awaitTaking(now time.Time) {
	if c.takeBy.Sub(now) < answerTimeout-answerSlack {
		c.takeBy = now.Add(answerTimeout)
		c.SetWriteDeadline(c.takeBy)
	}
}

// release gives the buffer back.
func (c *conn) release() {
	if c.input != nil {
		buffers.Put(c.input)
		c.input = nil
	}
}

// rest is the connection for net/http, which reads first what was read here.
func (c *conn) rest() net.Conn {
	r := &resumed{tcp: c.tcp, before: append([]byte(nil), c.input[:c.unread]...)}
	c.release()
	r.SetDeadline(time.Time{})
	return r
}

// resumed is a connection of which a part was read already.
type resumed struct {
	tcp
	before []byte
}

// Read implements net.Conn.
func (r *resumed) Read(p []byte) (int, error) {
	if len(r.before) == 0 {
		return r.tcp.Read(p)
	}
	n := copy(p, r.before)
	if r.before = r.before[n:]; len(r.before) == 0 {
		r.before = nil // and with it what it stood in
	}
	return n, nil
}
