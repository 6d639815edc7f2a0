package fleet

import (
	"hash/maphash"
	"sync"
)

const (
	// indexShards is a power of two: how many parts of the index grow by
	// themselves, so that growing copies little.
	indexShards = 64
	// smallestShard is so large that one that is four fifths full has a free
	// slot, without which a search would have no end.
	smallestShard = 16
)

// An index finds the number of a device by its name. Its hash has a key of this
// process: whoever may choose device ids cannot choose them to collide.
type index struct {
	seed   maphash.Seed
	memory *memory
	shards [indexShards]indexShard
}

// An indexShard is a hash table with open addressing. 0 is a free slot.
type indexShard struct {
	mu      sync.RWMutex
	numbers []uint32
	marks   []uint8 // 8 bits of the hash, which tell most others apart without a look at their names
	used    int
}

// A place is where a name belongs in the index.
type place struct {
	shard *indexShard
	home  uint32
	mark  uint8
}

func (x *index) place(ref Ref) place {
	h := maphash.Comparable(x.seed, ref)
	return place{&x.shards[h%indexShards], uint32(h >> 32), uint8(h >> 24)}
}

// find returns the number of which is says that it has the name. The caller
// holds the shard's lock.
func (p place) find(is func(number uint32) bool) (number uint32, ok bool) {
	s := p.shard
	if len(s.numbers) == 0 {
		return 0, false
	}
	for i := s.slot(p.home); ; i = s.next(i) {
		switch n := s.numbers[i]; {
		case n == 0:
			return 0, false
		case s.marks[i] == p.mark && is(n):
			return n, true
		}
	}
}

// add adds a number whose name is not there yet. placeOf finds the place of a
// number that is, when the shard grows.
func (x *index) add(p place, number uint32, placeOf func(number uint32) place) {
	s := p.shard
	if s.used >= len(s.numbers)-len(s.numbers)/5 { // four fifths are full
		x.grow(s, placeOf)
	}
	s.insert(p, number)
	s.used++
}

func (s *indexShard) insert(p place, number uint32) {
	i := s.slot(p.home)
	for s.numbers[i] != 0 {
		i = s.next(i)
	}
	s.numbers[i], s.marks[i] = number, p.mark
}

func (x *index) grow(s *indexShard, placeOf func(number uint32) place) {
	x.resize(s, max(smallestShard, len(s.numbers)+len(s.numbers)/2), placeOf)
}

// expect makes room for so many devices, which mostly spares the index its
// growing.
func (x *index) expect(devices int, placeOf func(number uint32) place) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		if size := devices / indexShards * 13 / 10; size > max(smallestShard, len(s.numbers)) { // the shards differ in size
			x.resize(s, size, placeOf)
		}
		s.mu.Unlock()
	}
}

func (x *index) resize(s *indexShard, size int, placeOf func(number uint32) place) {
	old, marks := s.numbers, s.marks
	s.numbers, s.marks = take[uint32](x.memory, size), take[uint8](x.memory, size)
	for _, number := range old {
		if number != 0 {
			s.insert(placeOf(number), number)
		}
	}
	give(x.memory, old)
	give(x.memory, marks)
}

func (s *indexShard) slot(home uint32) int { return int(uint64(home) * uint64(len(s.numbers)) >> 32) }

func (s *indexShard) next(i int) int {
	if i++; i == len(s.numbers) {
		return 0
	}
	return i
}
