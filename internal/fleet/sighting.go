package fleet

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/secure-ota/secure-ota/internal/store"
)

// A sighting is what is known of a device after its last check.
type sighting struct {
	number uint32
	seenEntry
}

// sightingsFormat is the first byte of a row of the log. For each device, in
// the order of their numbers, there follow as varints (package encoding/binary)
// its number less the one before, its time in milliseconds since 1970 less the
// one before (signed), generation, and highest nonce of a check: some 8 bytes
// for devices that count their nonces from 1.
const sightingsFormat = 1

func appendSightings(dst []byte, list []sighting) []byte {
	dst = append(dst, sightingsFormat)
	var before sighting
	for _, s := range list {
		dst = binary.AppendUvarint(dst, uint64(s.number-before.number))
		dst = binary.AppendVarint(dst, int64(s.ms.value())-int64(before.ms.value()))
		dst = binary.AppendUvarint(dst, uint64(s.generation))
		dst = binary.AppendUvarint(dst, s.nonce)
		before = s
	}
	return dst
}

// eachSighting calls f for each sighting of a row, those before a damage
// included, and ends with its error.
func eachSighting(raw []byte, f func(sighting) error) error {
	if len(raw) == 0 || raw[0] != sightingsFormat {
		return errSightings
	}
	r, s := varints{raw[1:], true}, sighting{}
	var ms int64
	for len(r.raw) > 0 {
		number := uint64(s.number) + r.unsigned(maxNumber)
		ms += r.signed()
		generation, nonce := r.unsigned(math.MaxUint32), r.unsigned(math.MaxUint64)
		if !r.ok || number <= uint64(s.number) || number > maxNumber || ms < 0 || ms >= 1<<48 {
			return errSightings
		}
		s = sighting{uint32(number), seenEntry{packUint48(uint64(ms)), uint32(generation), nonce}}
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

var errSightings = fmt.Errorf("log of last-seen times: %w: a row in an unknown form", store.ErrDamaged)

// varints are read one after the other. ok becomes false for good where there
// is none, or one that is too large.
type varints struct {
	raw []byte
	ok  bool
}

func (r *varints) unsigned(most uint64) uint64 {
	v, n := binary.Uvarint(r.raw)
	r.advance(n, v <= most)
	return v
}

func (r *varints) signed() int64 {
	v, n := binary.Varint(r.raw)
	r.advance(n, -1<<48 < v && v < 1<<48)
	return v
}

func (r *varints) advance(n int, fits bool) {
	r.ok = r.ok && n > 0 && fits
	r.raw = r.raw[max(0, n):]
}
