package protocol

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// MaxLimited is how many keys a Limit remembers. The one not seen for longest
// is forgotten first, so that nobody can fill the memory from outside; who
// commands more addresses than this is not held up by a limit per address.
const MaxLimited = 1 << 16

// A Limit is a rate for each key, such as each address. It is safe for
// concurrent use.
type Limit[K comparable] struct {
	every rate.Limit
	burst int

	mu     sync.Mutex
	byKey  map[K]*list.Element
	recent *list.List // of *limited[K], the most recent first
}

type limited[K comparable] struct {
	key     K
	limiter *rate.Limiter
}

// NewLimit allows perSecond requests for each key, and bursts of burst.
func NewLimit[K comparable](perSecond float64, burst int) *Limit[K] {
	return &Limit[K]{every: rate.Limit(perSecond), burst: burst, byKey: map[K]*list.Element{}, recent: list.New()}
}

// Allow takes one request of key from its rate: 0 if there was one left,
// otherwise the time until there is.
func (l *Limit[K]) Allow(key K, now time.Time) (wait time.Duration) {
	return take(l.of(key), now)
}

// Exhausted says, without taking one, whether key has no request left, and for
// how long. With Allow on failure alone it bounds failures, not requests.
func (l *Limit[K]) Exhausted(key K, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	e, ok := l.byKey[key]
	l.mu.Unlock()
	if !ok {
		return 0
	}
	missing := 1 - e.Value.(*limited[K]).limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(l.every) * float64(time.Second))
}

func (l *Limit[K]) of(key K) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.byKey[key]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*limited[K]).limiter
	}
	if l.recent.Len() >= MaxLimited {
		oldest := l.recent.Remove(l.recent.Back()).(*limited[K])
		delete(l.byKey, oldest.key)
	}
	one := &limited[K]{key, rate.NewLimiter(l.every, l.burst)}
	l.byKey[key] = l.recent.PushFront(one)
	return one.limiter
}

func take(l *rate.Limiter, now time.Time) (wait time.Duration) {
	r := l.ReserveN(now, 1)
	wait = r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// Address is AddressOf the request's other end.
func Address(r *http.Request) netip.Addr { return AddressOf(r.RemoteAddr) }

// AddressOf returns whom a limit per address counts, of a host:port: an IPv4
// address, or the /64 network of an IPv6 address, of which one subscriber has
// them all.
func AddressOf(hostPort string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
