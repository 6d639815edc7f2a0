package fleet

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func drawEntry(rt *rapid.T) seenEntry {
	return seenEntry{
		packUint48(rapid.Uint64Range(0, 1<<48-1).Draw(rt, "ms")),
		rapid.SampledFrom([]uint32{0, 1, 2, 1<<32 - 1}).Draw(rt, "generation"),
		rapid.Uint64().Draw(rt, "nonce"),
	}
}

// Two servers merge the pages of one another in any order and as often as they
// like, and agree.
func TestMergingPagesCommutes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b, c := drawEntry(rt), drawEntry(rt), drawEntry(rt)
		merge := func(into seenEntry, others ...seenEntry) seenEntry {
			for _, o := range others {
				into.merge(o)
			}
			return into
		}
		ab := merge(a, b)
		if ab != merge(b, a) || ab != merge(ab, a, b) || merge(ab, c) != merge(a, merge(b, c)) {
			rt.Fatalf("%+v, %+v, %+v", a, b, c)
		}
		if ab.ms.value() != max(a.ms.value(), b.ms.value()) || ab.generation != max(a.generation, b.generation) {
			rt.Fatalf("%+v of %+v and %+v", ab, a, b)
		}
	})
}

func FuzzSeenPage(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{seenFormat})
	f.Add((&seenPage{3: {packUint48(1 << 40), 2, 1 << 63}}).append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var page, again seenPage
		if err := page.decode(raw); err != nil {
			return
		}
		encoded := page.append(nil)
		if err := again.decode(encoded); err != nil || again != page {
			t.Errorf("%x: %v", raw, err)
		}
		if !bytes.HasPrefix(raw, encoded) {
			t.Errorf("%x becomes %x", raw, encoded)
		}
	})
}

func TestAPageFitsIntoAPageOfSQLite(t *testing.T) {
	var page seenPage
	page[pageRows-1].nonce = 1
	if size := len(page.append(nil)); size > 4096-35-20 { // less the overhead of a table's leaf and of the row
		t.Errorf("%d bytes", size)
	}
}
