package server

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/secure-ota/secure-ota/internal/protocol"
)

// proxies are the addresses whose word about a client's address is taken.
// Anybody else's X-Forwarded-For is a claim by which he would get around every
// limit, and put another's address on record.
type proxies []netip.Prefix

// trust reports whether a connection from host:port is a proxy's.
func (p proxies) trust(hostPort string) bool {
	if len(p) == 0 {
		return false
	}
	from, err := netip.ParseAddrPort(hostPort)
	return err == nil && p.contains(from.Addr())
}

func (p proxies) contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// unwrap gives requests that come through a proxy the address of their client,
// and their answers the id that the proxy gave them.
func (p proxies) unwrap(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.trust(r.RemoteAddr) {
			protocol.AdoptRequestID(w, r)
			if client, ok := p.client(r.Header.Values("X-Forwarded-For")); ok {
				r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
			}
		}
		next.ServeHTTP(w, r)
	})
}

// client returns the last address that is no proxy's: each proxy appends whom
// it was asked by, and what stands before that, anybody may have written.
func (p proxies) client(headers []string) (netip.Addr, bool) {
	hops := strings.Split(strings.Join(headers, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return netip.Addr{}, false
		}
		if !p.contains(addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}
