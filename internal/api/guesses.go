package api

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/secure-ota/secure-ota/internal/protocol"
)

// Wrong tokens. Of one address: a burst, and then one try in ten seconds. Of
// all addresses: so many, and then nobody is heard from an address that had no
// good token lately.
//
// Nobody guesses 256 random bits. The bounds are there so that who tries all
// the same costs no more than this, and does not keep operators out.
const (
	guessRate, guessBurst       = 0.1, 10
	strangerRate, strangerBurst = 10, 300
	acquainted                  = 7 * 24 * time.Hour
)

// guesses bounds failed authentications.
type guesses struct {
	byAddress *protocol.Limit[netip.Addr]
	all       *rate.Limiter
	good      *protocol.Recent[netip.Addr] // had a good token lately
}

func newGuesses() *guesses {
	return &guesses{
		byAddress: protocol.NewLimit[netip.Addr](guessRate, guessBurst),
		all:       rate.NewLimiter(strangerRate, strangerBurst),
		good:      protocol.NewRecent[netip.Addr](acquainted),
	}
}

// wait says how long nobody is let in from an address, whatever token he has:
// whoever guesses must not learn that the last guess was right.
func (g *guesses) wait(addr netip.Addr, now time.Time) time.Duration {
	if wait := g.byAddress.Exhausted(addr, now); wait > 0 {
		return wait
	}
	if g.good.Has(addr, now) || g.all.TokensAt(now) >= 1 {
		return 0
	}
	return time.Second
}

func (g *guesses) failed(addr netip.Addr, now time.Time) {
	g.byAddress.Allow(addr, now)
	g.all.AllowN(now, 1)
}

func (g *guesses) succeeded(addr netip.Addr, now time.Time) { g.good.Note(addr, now) }
