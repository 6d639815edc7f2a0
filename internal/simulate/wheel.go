package simulate

import (
	"sync"
	"time"
)

// tick is how exactly the wheel keeps time, and wheelSize how many ticks it goes
// round in; what lies further ahead goes round more often.
const (
	tick      = 10 * time.Millisecond
	wheelSize = 1 << 12
)

// A wheel knows which device acts when: a list of devices for each tick to come.
type wheel struct {
	mu    sync.Mutex
	now   uint32
	slots [wheelSize][]uint32
	due   []uint32 // by device: the tick at which it acts
}

func newWheel(devices int) *wheel { return &wheel{due: make([]uint32, devices)} }

// after has a device act so much later, at least a tick.
func (w *wheel) after(device uint32, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.now + max(1, uint32(delay/tick))
	w.due[device] = at
	w.slots[at%wheelSize] = append(w.slots[at%wheelSize], device)
}

// turn moves on by one tick and returns the devices that act in it, appended to
// dst.
func (w *wheel) turn(dst []uint32) []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	slot := &w.slots[w.now%wheelSize]
	left := (*slot)[:0]
	for _, device := range *slot {
		if w.due[device] == w.now {
			dst = append(dst, device)
		} else {
			left = append(left, device)
		}
	}
	*slot = left
	return dst
}
