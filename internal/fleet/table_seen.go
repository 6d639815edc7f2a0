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
// whether all of it found its place: a device, or a generation of its keys, may
// not be known here yet.
func (t *table) mergePage(number uint32, p *seenPage) (whole bool) {
	first := number * pageRows
	if int(first/slabRows) >= len(*t.slabs.Load()) || t.slab(first).rows == nil {
		return false
	}
	part := t.part(first)
	part.mu.Lock()
	defer part.mu.Unlock()
	whole = true
	for i, stored := range p {
		r := t.row(first + uint32(i))
		e := t.seen(r)
		if r.revision.value() == 0 || stored.generation > e.generation {
			whole = whole && stored == seenEntry{}
			continue
		}
		e.merge(stored)
		r.checkNonce, r.seenMS = e.nonce, e.ms
	}
	return whole
}

// unwritten notes that the page of a device is newer here than in the store.
func (t *table) unwritten(number uint32) {
	s, bit := t.slab(number), uint32(1)<<(number%slabRows/pageRows)
	if s.unwritten.Load()&bit == 0 {
		s.unwritten.Or(bit)
	}
}

// takeUnwritten returns the pages that are newer here than in the store, which
// from now on they are not.
func (t *table) takeUnwritten() (pages []uint32) {
	for i, s := range *t.slabs.Load() {
		for set := s.unwritten.Swap(0); set != 0; set &= set - 1 {
			pages = append(pages, uint32(i*slabPages+bits.TrailingZeros32(set)))
		}
	}
	return pages
}

// stillUnwritten takes pages back that could not be written.
func (t *table) stillUnwritten(pages []uint32) {
	for _, page := range pages {
		t.unwritten(page * pageRows)
	}
}
