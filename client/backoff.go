package client

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// The pace of checks (docs/spec/device-protocol.md, section 8).
const (
	firstBackoff = 30 * time.Second
	lastBackoff  = time.Hour
	defaultRetry = time.Hour // of a server that does not say

	// Bounds of what a server may ask for. Nobody vouches for a Retry-After:
	// whoever sits on the way must neither silence a device for years with one
	// packet, nor have it write a block of nonces every minute.
	leastRetryAfter = 5 * time.Second
	mostRetryAfter  = lastBackoff
	mostRetry       = 7 * 24 * time.Hour // an answer that was authenticated, by a server that may be stolen
)

// A Backoff spaces the checks of one device: as the server asks, or doubling
// after each failure.
type Backoff struct {
	Device   string // its id: each device waits a little longer in its own way, so that a fleet does not come back at once
	failures int
}

// Next returns how long to wait after an Update that ended like this.
func (b *Backoff) Next(a Answer, err error) time.Duration {
	if err == nil || a.fresh && !isTransport(err) {
		b.failures = 0
		wait := min(a.Retry(), mostRetry)
		if wait == 0 {
			wait = defaultRetry
		}
		return b.spread(wait)
	}
	wait := lastBackoff
	if b.failures < 7 {
		wait = min(firstBackoff<<b.failures, lastBackoff)
	}
	b.failures++
	var status *StatusError
	if errors.As(err, &status) && status.RetryAfter > 0 {
		wait = min(max(status.RetryAfter, leastRetryAfter), mostRetryAfter)
	}
	return b.spread(wait)
}

// spread adds up to a tenth, always the same for one device.
func (b *Backoff) spread(d time.Duration) time.Duration {
	sum := sha256.Sum256([]byte(b.Device))
	return d + time.Duration(float64(d)/10*float64(binary.BigEndian.Uint32(sum[:]))/(1<<32))
}
