package fleet

import (
	"sync"
	"unsafe"
)

// A memory is pages from outside the garbage collector's heap. What stands
// there holds no pointers, so there is nothing to collect in it, and a million
// devices do not double the garbage that is let pile up between collections.
//
// Under the race detector it is the ordinary heap, because that is what the
// detector watches.
type memory struct {
	mu      sync.Mutex
	regions map[*byte][]byte // by their first byte
}

// take returns n zeroed values of a type without pointers. They last until
// give, or until release.
func take[T any](m *memory, n int) []T {
	raw := newRegion(n * int(unsafe.Sizeof(*new(T))))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.regions == nil {
		m.regions = map[*byte][]byte{}
	}
	m.regions[unsafe.SliceData(raw)] = raw
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(raw))), n)
}

// give returns what take took. Nobody may be using it any more.
func give[T any](m *memory, values []T) {
	if len(values) == 0 {
		return
	}
	first := (*byte)(unsafe.Pointer(unsafe.SliceData(values)))
	m.mu.Lock()
	defer m.mu.Unlock()
	freeRegion(m.regions[first])
	delete(m.regions, first)
}

// release returns everything.
func (m *memory) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for first, raw := range m.regions {
		freeRegion(raw)
		delete(m.regions, first)
	}
}
