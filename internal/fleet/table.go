package fleet

import (
	"fmt"
	"hash/maphash"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A table is the devices in memory: 80 bytes each, their names and an index, all
// of it flat and without pointers (see row). A device is found by its number,
// which the store gives it once; it is never removed.
//
// Readers get a copy, made under one of many locks. It is safe for concurrent
// use.
type table struct {
	memory *memory
	index  index
	names  names
	slabs  atomic.Pointer[[]*slab]
	parts  [tableParts]part
	count  atomic.Int64

	models   pool[model]
	remarks  pool[remarks]
	progress pool[progress]
	events   pool[event]
	offers   pool[offered]
	labels   labelSets

	growing sync.Mutex // held while a device comes in

	sorting sync.Mutex // taken before growing
	sorted  []uint32   // numbers, in the order of their names; never changed, only replaced
}

// tableParts is how many locks the rows have. A page of rows has one lock.
const tableParts = 256

type part struct {
	mu   sync.RWMutex
	rare map[uint32]rare // by number
	_    [16]byte        // pads the lock to half a cache line
}

// Rows stand in slabs of whole pages. Slabs never move, so that growing copies
// nothing but the list of them.
const (
	slabPages = 16
	slabRows  = slabPages * pageRows
	maxNumber = 1 << 31
)

type slab struct {
	unwritten [slabRows / 32]uint32 // a bit for each device that was seen since the log was written, under its lock
	unmerged  atomic.Uint32         // a bit for each page of a device of which the log says more
	sorted    [slabRows / 32]uint32 // a bit for each device that stands in table.sorted, under table.growing
	rows      []row
}

func newTable() *table {
	m := &memory{}
	t := &table{memory: m}
	t.index.seed, t.index.memory, t.names.memory = maphash.MakeSeed(), m, m
	t.slabs.Store(&[]*slab{})
	runtime.AddCleanup(t, func(m *memory) { m.release() }, m)
	return t
}

func (t *table) part(number uint32) *part { return &t.parts[pageOf(number)%tableParts] }

func (t *table) slab(number uint32) *slab { return (*t.slabs.Load())[number/slabRows] }

func (t *table) row(number uint32) *row { return &t.slab(number).rows[number%slabRows] }

// find returns the number of a device.
func (t *table) find(ref Ref) (number uint32, ok bool) {
	p := t.index.place(ref)
	p.shard.mu.RLock()
	defer p.shard.mu.RUnlock()
	return t.findAt(p, ref)
}

func (t *table) findAt(p place, ref Ref) (number uint32, ok bool) {
	return p.find(func(number uint32) bool { return t.names.is(t.row(number).name, ref) })
}

// get copies a device. ref is its name.
func (t *table) get(number uint32, ref Ref, d *Device) {
	part := t.part(number)
	part.mu.RLock()
	defer part.mu.RUnlock()
	t.unpack(t.row(number), number, ref, d)
}

// isAt reports whether a device is still the row of that revision.
func (t *table) isAt(number uint32, revision int64) bool {
	part := t.part(number)
	part.mu.RLock()
	defer part.mu.RUnlock()
	return t.row(number).revision.value() == uint64(revision)
}

// knows reports whether there is a device with its generation of keys: of
// another, what stands on its page is not in memory.
func (t *table) knows(d *Device) bool {
	number, ok := t.find(d.Ref)
	if !ok {
		return false
	}
	part := t.part(number)
	part.mu.RLock()
	defer part.mu.RUnlock()
	return t.models.value(t.row(number).model).generation == d.Generation
}

// put makes a committed row the device in memory, unless that is newer. What
// moves on without a revision (last-seen time, nonce of a check) never goes
// back, but that a generation of keys has its own nonces.
func (t *table) put(d *Device) error {
	number, err := t.settle(d)
	if err != nil {
		return err
	}
	part := t.part(number)
	part.mu.Lock()
	defer part.mu.Unlock()
	r := t.row(number)
	if r.revision.value() >= uint64(d.revision) {
		return nil
	}
	nonce := d.CheckNonce
	if t.models.value(r.model).generation == d.Generation {
		nonce = max(nonce, r.checkNonce)
	}
	t.pack(r, number, d)
	r.checkNonce = nonce
	r.seenMS = packUint48(max(r.seenMS.value(), packTime(d.LastSeen).value()))
	return nil
}

// settle returns the number of a device, which gets a row if it has none.
func (t *table) settle(d *Device) (uint32, error) {
	if number, ok := t.find(d.Ref); ok {
		return number, nil
	}
	if d.number == 0 || d.number > maxNumber {
		return 0, fmt.Errorf("device %s has the number %d, which is none", d.Ref, d.number)
	}
	t.growing.Lock()
	defer t.growing.Unlock()
	p := t.index.place(d.Ref)
	p.shard.mu.Lock()
	defer p.shard.mu.Unlock()
	if number, ok := t.findAt(p, d.Ref); ok { // somebody else was first
		return number, nil
	}
	t.makeRoom(d.number)
	r := t.row(d.number)
	if r.name != 0 {
		return 0, fmt.Errorf("device %s has the number %d of %s", d.Ref, d.number, t.names.ref(r.name))
	}
	r.name = t.names.add(d.Ref)
	t.index.add(p, d.number, t.placeOf)
	t.count.Add(1)
	return d.number, nil
}

func (t *table) placeOf(number uint32) place { return t.index.place(t.names.ref(t.row(number).name)) }

// expect makes ready for so many devices.
func (t *table) expect(devices int) {
	t.growing.Lock()
	defer t.growing.Unlock()
	t.index.expect(devices, t.placeOf)
}

// reserve sees to it that a device has room.
func (t *table) reserve(number uint32) {
	if slabs := *t.slabs.Load(); int(number/slabRows) < len(slabs) && slabs[number/slabRows].rows != nil {
		return
	}
	t.growing.Lock()
	defer t.growing.Unlock()
	t.makeRoom(number)
}

func (t *table) makeRoom(number uint32) {
	slabs := *t.slabs.Load()
	at := int(number / slabRows)
	if at < len(slabs) && slabs[at].rows != nil {
		return
	}
	slabs = slices.Clone(slabs)
	for len(slabs) <= at {
		slabs = append(slabs, &slab{})
	}
	slabs[at] = &slab{rows: take[row](t.memory, slabRows)}
	t.slabs.Store(&slabs)
}

// take takes a request from the rate of a device, or says how long it has to
// wait.
func (t *table) take(number uint32, now time.Time) (wait time.Duration) {
	part := t.part(number)
	part.mu.Lock()
	defer part.mu.Unlock()
	return t.row(number).fullAt.take(now)
}

// after returns the devices that come after one in the order of type and id.
// The Device is the caller's until it asks for the next one.
func (t *table) after(ref Ref) iter.Seq[*Device] {
	return func(yield func(*Device) bool) {
		defer runtime.KeepAlive(t)
		numbers := t.order()
		from, found := slices.BinarySearchFunc(numbers, ref, func(number uint32, ref Ref) int {
			return t.compare(t.row(number).name, ref)
		})
		if found {
			from++
		}
		var d Device
		for _, number := range numbers[from:] {
			t.get(number, t.names.ref(t.row(number).name), &d)
			if !yield(&d) {
				return
			}
		}
	}
}
