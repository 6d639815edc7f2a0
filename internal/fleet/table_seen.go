package fleet

import (
	"math/bits"
	"time"
)

// saw notes that a device was here. The time never goes back.
func (t *table) saw(number uint32, now time.Time) {
	part := t.part(number)
	part.mu.Lock()
	defer part.mu.Unlock()
	r, at := t.row(number), packTime(now)
	if at.value() > r.seenMS.value() {
		r.seenMS = at
		t.unwritten(number)
	}
}

// claim takes the nonce of a check of a device as it was read. It is new for
// one caller: of two checks with one nonce, one is new.
func (t *table) claim(d *Device, nonce uint64) bool {
	part := t.part(d.number)
	part.mu.Lock()
	defer part.mu.Unlock()
	r := t.row(d.number)
	if nonce <= max(r.reportNonce, r.checkNonce) || t.models.value(r.model).generation != d.Generation {
		return false
	}
	r.checkNonce = nonce
	t.unwritten(d.number)
	return true
}

// overlay moves a device that was read from its row on to what is known here.
func (t *table) overlay(d *Device) {
	number, ok := t.find(d.Ref)
	if !ok {
		return
	}
	part := t.part(number)
	part.mu.RLock()
	defer part.mu.RUnlock()
	t.seen(t.row(number)).overlay(d)
}

func (t *table) seen(r *row) seenEntry {
	return seenEntry{r.seenMS, t.models.value(r.model).generation, r.checkNonce}
}

// page copies what is known of the devices of a page.
func (t *table) page(number uint32, p *seenPage) {
	part := t.part(number * pageRows)
	part.mu.RLock()
	defer part.mu.RUnlock()
	for i := range p {
		p[i] = t.seen(t.row(number*pageRows + uint32(i)))
	}
}

// mergePage moves the devices of a page on to what was stored. It reports
// whether all of it found its place (see mergeSeen).
func (t *table) mergePage(number uint32, p *seenPage) (whole bool) {
	first := number * pageRows
	t.reserve(first)
	part := t.part(first)
	part.mu.Lock()
	defer part.mu.Unlock()
	whole = true
	for i, stored := range p {
		whole = t.mergeSeen(t.row(first+uint32(i)), stored) && whole
	}
	return whole
}

// mergeSighting is mergePage of one device.
func (t *table) mergeSighting(s sighting) (whole bool) {
	t.reserve(s.number)
	part := t.part(s.number)
	part.mu.Lock()
	defer part.mu.Unlock()
	return t.mergeSeen(t.row(s.number), s.seenEntry)
}

// mergeSeen moves a device on to what was stored. What came before its device
// waits for it in the row. Of a later generation of keys than that of a known
// device nothing is taken, and the answer is false: the device's row is behind.
func (t *table) mergeSeen(r *row, stored seenEntry) bool {
	e := t.seen(r)
	if stored.generation > e.generation && r.revision.value() != 0 {
		return false
	}
	e.merge(stored)
	r.checkNonce, r.seenMS = e.nonce, e.ms
	if r.revision.value() == 0 {
		t.models.replace(&r.model, model{generation: e.generation})
	}
	return true
}

// unwritten notes that a device was seen. The caller holds its lock.
func (t *table) unwritten(number uint32) {
	s, at := t.slab(number), number%slabRows
	s.unwritten[at/32] |= 1 << (at % 32)
}

// takeUnwritten returns the devices that were seen since the last time, in the
// order of their numbers.
func (t *table) takeUnwritten() (list []sighting) {
	for i, s := range *t.slabs.Load() {
		for first := 0; first < len(s.rows); first += pageRows {
			list = t.takeUnwrittenOf(list, s, uint32(i*slabRows+first))
		}
	}
	return list
}

// takeUnwrittenOf is takeUnwritten of the page that begins with a device.
func (t *table) takeUnwrittenOf(list []sighting, s *slab, first uint32) []sighting {
	part := t.part(first)
	part.mu.Lock()
	defer part.mu.Unlock()
	from := first % slabRows / 32
	for at, set := range s.unwritten[from : from+pageRows/32] {
		s.unwritten[from+uint32(at)] = 0
		for ; set != 0; set &= set - 1 {
			number := first + uint32(at*32+bits.TrailingZeros32(set))
			list = append(list, sighting{number, t.seen(t.row(number))})
		}
	}
	return list
}

// stillUnwritten takes devices back that could not be written.
func (t *table) stillUnwritten(list []sighting) {
	for _, s := range list {
		part := t.part(s.number)
		part.mu.Lock()
		t.unwritten(s.number)
		part.mu.Unlock()
	}
}

// unmerged notes that the log says something of a device that its page does
// not.
func (t *table) unmerged(number uint32) {
	s, bit := t.slab(number), uint32(1)<<(number%slabRows/pageRows)
	if s.unmerged.Load()&bit == 0 {
		s.unmerged.Or(bit)
	}
}

// takeUnmerged returns the pages of such devices, which are in the caller's
// hands from now on.
func (t *table) takeUnmerged() (pages []uint32) {
	for i, s := range *t.slabs.Load() {
		for set := s.unmerged.Swap(0); set != 0; set &= set - 1 {
			pages = append(pages, uint32(i*slabPages+bits.TrailingZeros32(set)))
		}
	}
	return pages
}

// stillUnmerged takes pages back that could not be written.
func (t *table) stillUnmerged(pages []uint32) {
	for _, page := range pages {
		t.unmerged(page * pageRows)
	}
}
