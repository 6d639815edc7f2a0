package fleet

import (
	"errors"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/store"
)

func sightings(raw []byte) (list []sighting, err error) {
	err = eachSighting(raw, func(s sighting) error {
		list = append(list, s)
		return nil
	})
	return list, err
}

func TestSightingsComeOutOfTheLogAsTheyWentIn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		numbers := rapid.SliceOfNDistinct(rapid.Uint32Range(1, maxNumber), 0, 50, rapid.ID[uint32]).Draw(rt, "numbers")
		slices.Sort(numbers)
		var list []sighting
		for _, n := range numbers {
			list = append(list, sighting{n, drawEntry(rt)})
		}
		got, err := sightings(appendSightings(nil, list))
		if diff := gocmp.Diff(list, got, gocmp.AllowUnexported(sighting{}, seenEntry{})); err != nil || diff != "" {
			rt.Fatalf("%v\n%s", err, diff)
		}
	})
}

// A device that counts its nonces from 1 takes what doc and benchmarks say.
func TestASightingIsSmall(t *testing.T) {
	var list []sighting
	for i := range uint32(1390) {
		list = append(list, sighting{1 + i*719, seenEntry{packUint48(1_800_000_000_000 + uint64(i*i)%5000), 1, 5000}})
	}
	if each := len(appendSightings(nil, list)) / len(list); each > 8 {
		t.Errorf("%d bytes", each)
	}
}

func TestADamagedLogIsRefused(t *testing.T) {
	good := appendSightings(nil, []sighting{{5, seenEntry{packUint48(1000), 1, 300}}, {7, seenEntry{packUint48(900), 1, 2}}})
	for cut := range good {
		if list, err := sightings(good[:cut]); err == nil && len(list) != 1 && cut != 1 {
			t.Errorf("%x is read as %v", good[:cut], list)
		}
	}
	for name, raw := range map[string][]byte{
		"no format":             {},
		"another format":        {2},
		"number 0":              {1, 0, 2, 1, 1},
		"the same number twice": {1, 1, 2, 1, 1, 0, 2, 1, 1},
		"number too high":       {1, 0x81, 0x80, 0x80, 0x80, 0x08, 2, 1, 1},
		"time before 1970":      {1, 1, 1, 1, 1},
		"generation of 33 bits": {1, 1, 2, 0x80, 0x80, 0x80, 0x80, 0x10, 1},
		"nonce of 65 bits":      {1, 1, 2, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02},
	} {
		if list, err := sightings(raw); !errors.Is(err, store.ErrDamaged) || len(list) > 1 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

func FuzzSightings(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{sightingsFormat})
	f.Add(appendSightings(nil, []sighting{{1, seenEntry{packUint48(1 << 40), 2, 1 << 63}}, {maxNumber, seenEntry{packUint48(1), 1, 1}}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := sightings(raw)
		if err != nil {
			return
		}
		encoded := appendSightings(nil, list)
		again, err := sightings(encoded)
		if err != nil || !slices.Equal(again, list) || len(encoded) > len(raw) {
			t.Errorf("%x becomes %x: %v, %v", raw, encoded, again, err)
		}
	})
}
