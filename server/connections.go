package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/internal/metrics"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

// crowdedRetry is when a client comes again whose connection was one too many.
const crowdedRetry = 30 * time.Second

// connections bounds how many connections are open, over both listeners. One
// too many is told so (503), which takes a handshake and a request; at twice the
// bound nobody is told anything any more.
type connections struct {
	total, perAddress int              // the bounds
	metrics           *metrics.Metrics // counts what was one too many
	proxies           proxies          // their addresses stand for many clients, and have the first bound alone

	mu        sync.Mutex
	open      int
	byAddress map[netip.Addr]int
}

func newConnections(cfg Config, m *metrics.Metrics) *connections {
	return &connections{
		total: cfg.MaxConnections, perAddress: cfg.MaxConnectionsPerAddress, metrics: m, proxies: cfg.TrustedProxies,
		byAddress: map[netip.Addr]int{},
	}
}

// count returns how many are open.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// A counted connection is one of connections. It is all that a TCP connection
// is, so that files are sent on it by sendfile.
type counted struct {
	*net.TCPConn
	crowded bool // it is one too many
	once    sync.Once
	release func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(c.release)
	return c.TCPConn.Close()
}

// listener counts the connections of a listener until they are closed.
type listener struct {
	net.Listener
	connections *connections
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if conn, ok := l.connections.admit(accepted.(*net.TCPConn)); ok {
			return conn, nil
		}
		accepted.Close()
	}
}

// admit counts a connection unless there are so many that it is not even told so.
func (c *connections) admit(conn *net.TCPConn) (admitted *counted, ok bool) {
	addr := protocol.AddressOf(conn.RemoteAddr().String())
	bound := c.perAddress
	if c.proxies.trust(conn.RemoteAddr().String()) {
		bound = c.total
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	total, ofAddress := c.open+1, c.byAddress[addr]+1
	crowded := total > c.total || ofAddress > bound
	if crowded {
		c.metrics.Crowded()
	}
	if total > 2*c.total || ofAddress > 2*bound {
		return nil, false
	}
	c.open, c.byAddress[addr] = total, ofAddress
	return &counted{TCPConn: conn, crowded: crowded, release: func() { c.release(addr) }}, true
}

func (c *connections) release(addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.byAddress[addr]--; c.byAddress[addr] == 0 {
		delete(c.byAddress, addr)
	}
}

// crowded reports whether a connection is one too many.
func crowded(conn net.Conn) bool {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, ok := conn.(*counted)
	return ok && c.crowded
}

type crowdedKey struct{}

// markCrowded marks the context of the requests on a connection that is one
// too many. It is an http.Server's ConnContext.
func markCrowded(ctx context.Context, conn net.Conn) context.Context {
	if crowded(conn) {
		return context.WithValue(ctx, crowdedKey{}, true)
	}
	return ctx
}

// refuseCrowded answers requests of connections that are too many, and lets
// next answer all others.
func refuseCrowded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(crowdedKey{}) == nil {
			next.ServeHTTP(w, r)
			return
		}
		protocol.SetRetryAfter(w, crowdedRetry)
		w.Header().Set("Connection", "close")
		protocol.WriteProblem(w, http.StatusServiceUnavailable, protocol.Problem{
			Error: "too many connections are open; close some, or come again later", Code: "unavailable", RequestID: protocol.RequestID(w),
		})
	})
}
