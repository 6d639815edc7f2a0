package fleet

import (
	"maps"
	"sync"
	"time"
)

// complaints are when each device was last refused on record in spite of its
// right key.
type complaints struct {
	mu     sync.Mutex
	last   map[uint32]time.Time // by number
	forgot time.Time
}

// due reports whether the refusal of a device may be put on record now, once
// every refusalInterval.
func (c *complaints) due(number uint32, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.last[number]
	if ok && now.Sub(last) < refusalInterval {
		return false
	}
	if now.Sub(c.forgot) >= refusalInterval { // what is older holds nobody back
		maps.DeleteFunc(c.last, func(_ uint32, last time.Time) bool { return now.Sub(last) >= refusalInterval })
		c.forgot = now
	}
	if c.last == nil {
		c.last = map[uint32]time.Time{}
	}
	c.last[number] = now
	return true
}
