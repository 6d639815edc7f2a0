package provision

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/secure-ota/secure-ota/manifest"
)

// Records of a journal (libota/include/ota/journal.h, libota/src/journal.c).
const (
	recordStep     = 8    // bytes at whose multiples records begin, or the unit if that is larger
	recordMark     = 0xa0 // of a kind
	recordSecond   = 0x08 // of a record that was written when the other page had it already
	recordOverhead = 10   // bytes of kind, size, number and crc
	entryFixed     = 24 + 2*32
	maxRecord      = recordOverhead + entryFixed + 64
	rejectedSize   = 4 * 32
)

// Kinds of records.
const (
	kindState    = 0
	kindEntry0   = 1
	kindRejected = 3
	kindNonce    = 4
)

// A state is what a device begins with.
type state struct {
	floorEpoch    uint32
	floorCounter  uint32
	keysetVersion uint32
	generation    uint32
	installed     entry
}

// An entry is the release that a device was made with. All zero: not known.
type entry struct {
	sequence     manifest.Sequence
	oldestReturn manifest.Sequence
	counter      uint32
	imageSize    uint32
	imageDigest  manifest.Digest
	manifestHash manifest.Digest
	version      string
}

// journalPage returns what ota_journal_format leaves on one of the two pages.
func (f Flash) journalPage(s state, second bool) []byte {
	var page []byte
	counter := binary.BigEndian.AppendUint32(make([]byte, 8), s.generation)
	for i, r := range []struct {
		kind    byte
		payload []byte
	}{
		{kindNonce, counter}, {kindRejected, make([]byte, rejectedSize)}, {kindEntry0, s.installed.encode()}, {kindState, s.encode()},
	} {
		kind := recordMark | r.kind
		if second {
			kind |= recordSecond
		}
		record := binary.BigEndian.AppendUint32([]byte{kind, byte(len(r.payload))}, uint32(i+1))
		record = append(record, r.payload...)
		record = binary.BigEndian.AppendUint32(record, crc32.ChecksumIEEE(record))
		page = append(page, f.pad(record, max(recordStep, f.Unit))...)
	}
	return page
}

// checkJournal says whether an area has the room that ota_journal_format asks
// for: one record of each kind, and two of the largest more.
func (f Flash) checkJournal(a Area) error {
	padded := func(n int) int {
		return (n + max(recordStep, f.Unit) - 1) / max(recordStep, f.Unit) * max(recordStep, f.Unit)
	}
	return a.holds(padded(recordOverhead+len(state{}.encode())) + padded(recordOverhead+rejectedSize) + padded(recordOverhead+12) + 4*padded(maxRecord))
}

func (s state) encode() []byte {
	out := binary.BigEndian.AppendUint32(nil, s.floorEpoch)
	out = binary.BigEndian.AppendUint32(out, s.floorCounter)
	out = binary.BigEndian.AppendUint32(out, s.keysetVersion)
	return append(out, make([]byte, 9)...) // mark, installed, phase, tries, reason, flags
}

func (e entry) encode() []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(e.sequence))
	out = binary.BigEndian.AppendUint64(out, uint64(e.oldestReturn))
	out = binary.BigEndian.AppendUint32(out, e.counter)
	out = binary.BigEndian.AppendUint32(out, e.imageSize)
	out = append(out, e.imageDigest[:]...)
	out = append(out, e.manifestHash[:]...)
	return append(out, e.version...)
}
