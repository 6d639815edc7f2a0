package front

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a connection (docs/spec/device-protocol.md, section 8).
const (
	headerTimeout  = 10 * time.Second // from the first byte of a request to the end of its header
	requestTimeout = 20 * time.Second // and to the end of its body
	answerTimeout  = 30 * time.Second // for the client to take an answer
	idleTimeout    = 2 * time.Minute
	// A deadline is moved on only when so much of its time is used up: doing it
	// for each request costs a tenth of a check.
	idleSlack   = 30 * time.Second
	answerSlack = 10 * time.Second
	// bufferSize holds every check that a device sends: 200 bytes of header, 300
	// of COSE. A longer request is for net/http.
	bufferSize = 2 << 10
)

// A Config says what is answered.
type Config struct {
	// Mine says whether a connection may be answered here; nil: every one. It is
	// asked once for each.
	Mine func(net.Conn) bool
	// Check returns the body of the answer to a check from remote (host:port),
	// application/cose. It does not keep raw.
	Check func(ctx context.Context, remote string, raw []byte) ([]byte, error)
	// Fail writes the answer to a check that failed; of r there are the method,
	// the path and the remote address.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	Log  *slog.Logger
}

// A Listener takes the connections of another one. Accept returns those that
// are not, or no longer, answered here.
type Listener struct {
	net.Listener
	cfg    Config
	others chan net.Conn
	failed chan error
	closed chan struct{}

	closing atomic.Bool
	once    sync.Once
	serving sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// Listen answers checks on the connections of l from now on, which are TCP.
// Close the Listener, and Wait for it.
func Listen(l net.Listener, cfg Config) *Listener {
	f := &Listener{
		Listener: l, cfg: cfg, others: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	f.serving.Go(f.accept)
	return f
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.others:
		return conn, nil
	case err := <-l.failed:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close stops accepting and closes the connections on which nothing was asked.
// A check that is being answered is answered.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.closing.Store(true)
		close(l.closed)
	})
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.SetReadDeadline(time.Unix(1, 0))
	}
	return err
}

// Wait waits, after Close, until the last check is answered.
func (l *Listener) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		l.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Cut closes, after Close, the connections that are still open: of clients that
// do not take their answers, or whose check takes too long.
func (l *Listener) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Close()
	}
}

func (l *Listener) accept() {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil { // net/http knows which ones pass, and how long to wait
			select {
			case l.failed <- err:
				continue
			case <-l.closed:
				return
			}
		}
		l.serving.Go(func() { l.serve(accepted) })
	}
}

// serve answers what is asked on a connection, and lets net/http do the rest.
func (l *Listener) serve(accepted net.Conn) {
	stream, ok := accepted.(tcp)
	if !ok || l.cfg.Mine != nil && !l.cfg.Mine(accepted) {
		l.handOver(accepted)
		return
	}
	c, err := newConn(stream, &l.cfg)
	if err != nil { // it is closed already
		accepted.Close()
		return
	}
	l.add(c)
	over := c.serve(l.closing.Load)
	l.remove(c)
	if over {
		l.handOver(c.rest())
		return
	}
	c.release()
	c.Close()
}

func (l *Listener) add(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// handOver gives a connection to whoever calls Accept.
func (l *Listener) handOver(c net.Conn) {
	select {
	case l.others <- c:
	case <-l.closed:
		c.Close()
	}
}
