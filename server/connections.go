package server

import (
	"context"
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

type crowdedKey struct{}

// opened counts a connection until closed is called, and marks the context of
// its requests if there are too many. It is for an http.Server's ConnContext.
func (c *connections) opened(ctx context.Context, conn net.Conn) context.Context {
	addr := protocol.AddressOf(conn.RemoteAddr().String())
	c.mu.Lock()
	c.open++
	c.byAddress[addr]++
	total, perAddress := c.open, c.byAddress[addr]
	c.mu.Unlock()
	if c.proxies.trust(conn.RemoteAddr().String()) {
		perAddress = 0
	}
	if total > 2*c.total || perAddress > 2*c.perAddress {
		conn.Close() // its goroutine finds it closed, and ends
	}
	if total > c.total || perAddress > c.perAddress {
		c.metrics.Crowded()
		return context.WithValue(ctx, crowdedKey{}, true)
	}
	return ctx
}

// closed is for an http.Server's ConnState.
func (c *connections) closed(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed {
		return
	}
	addr := protocol.AddressOf(conn.RemoteAddr().String())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.byAddress[addr]--; c.byAddress[addr] == 0 {
		delete(c.byAddress, addr)
	}
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
