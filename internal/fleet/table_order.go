package fleet

import (
	"bytes"
	"slices"
	"strings"
)

// order returns the numbers of all devices by type and id. What came in since
// the last time is sorted and merged in: sorting all of a large fleet for each
// page of a list would cost seconds.
func (t *table) order() []uint32 {
	t.sorting.Lock()
	defer t.sorting.Unlock()
	if int(t.count.Load()) == len(t.sorted) { // devices are never removed
		return t.sorted
	}
	fresh := t.unsorted()
	slices.SortFunc(fresh, t.compareNumbers)
	t.sorted = t.merge(t.sorted, fresh)
	return t.sorted
}

// unsorted returns the devices that are not in sorted yet.
func (t *table) unsorted() []uint32 {
	t.growing.Lock()
	defer t.growing.Unlock()
	fresh := make([]uint32, 0, int(t.count.Load())-len(t.sorted))
	for at, s := range *t.slabs.Load() {
		for i := range s.rows {
			if bit := uint32(1) << (i % 32); s.rows[i].name != 0 && s.sorted[i/32]&bit == 0 {
				s.sorted[i/32] |= bit
				fresh = append(fresh, uint32(at*slabRows+i))
			}
		}
	}
	return fresh
}

func (t *table) merge(a, b []uint32) []uint32 {
	if len(a) == 0 {
		return b
	}
	merged := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if t.compareNumbers(a[0], b[0]) < 0 {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

func (t *table) compareNumbers(a, b uint32) int {
	typeA, idA := t.names.at(t.row(a).name)
	typeB, idB := t.names.at(t.row(b).name)
	if c := strings.Compare(typeA, typeB); c != 0 {
		return c
	}
	return bytes.Compare(idA, idB)
}

func (t *table) compare(name uint32, ref Ref) int {
	deviceType, id := t.names.at(name)
	if c := strings.Compare(deviceType, ref.DeviceType); c != 0 {
		return c
	}
	return bytes.Compare(id, []byte(ref.ID))
}
