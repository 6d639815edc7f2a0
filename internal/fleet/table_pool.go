package fleet

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// poolChunk is how many values of a pool stand together. Chunks never move.
const poolChunk = 256

// A pool keeps each value that rows have in common once, and counts the rows
// that hold it: a device may send what it likes, and what no row holds any more
// is forgotten. Handle 0 is the zero value and stands nowhere.
type pool[V comparable] struct {
	mu      sync.Mutex
	handles map[V]uint32
	free    []uint32
	chunks  atomic.Pointer[[]*[poolChunk]pooled[V]]
	used    uint32 // highest handle given out so far
}

type pooled[V comparable] struct {
	value V
	rows  int
}

// value returns what a handle stands for. The caller holds the lock of a row
// that holds the handle: nobody writes the value meanwhile.
func (p *pool[V]) value(handle uint32) (v V) {
	if handle == 0 {
		return v
	}
	return p.at(handle).value
}

func (p *pool[V]) at(handle uint32) *pooled[V] {
	return &(*p.chunks.Load())[handle/poolChunk][handle%poolChunk]
}

// replace lets go of the handle *held, and stores that of v in its place.
func (p *pool[V]) replace(held *uint32, v V) {
	if p.value(*held) == v {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(*held)
	*held = p.hold(v)
}

func (p *pool[V]) hold(v V) uint32 {
	if v == *new(V) {
		return 0
	}
	handle, ok := p.handles[v]
	if !ok {
		handle = p.room()
		if p.handles == nil {
			p.handles = map[V]uint32{}
		}
		p.handles[v] = handle
		p.at(handle).value = v
	}
	p.at(handle).rows++
	return handle
}

func (p *pool[V]) drop(handle uint32) {
	if handle == 0 {
		return
	}
	entry := p.at(handle)
	if entry.rows--; entry.rows > 0 {
		return
	}
	delete(p.handles, entry.value)
	*entry = pooled[V]{}
	p.free = append(p.free, handle)
}

// room returns a handle that nobody holds.
func (p *pool[V]) room() uint32 {
	if last := len(p.free) - 1; last >= 0 {
		handle := p.free[last]
		p.free = p.free[:last]
		return handle
	}
	p.used++
	if p.used == 0 {
		panic(fmt.Sprintf("fleet: more than 2^32 different %T", *new(V)))
	}
	var chunks []*[poolChunk]pooled[V]
	if old := p.chunks.Load(); old != nil {
		chunks = *old
	}
	if int(p.used/poolChunk) == len(chunks) {
		grown := append(chunks[:len(chunks):len(chunks)], new([poolChunk]pooled[V]))
		p.chunks.Store(&grown)
	}
	return p.used
}

// size returns how many values are held.
func (p *pool[V]) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.handles)
}
