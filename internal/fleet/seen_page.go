package fleet

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/store"
)

// pageRows is how many devices stand on one page, so that a page just fits into
// a page of SQLite.
const pageRows = 224

// pageOf returns the page of a device.
func pageOf(number uint32) uint32 { return number / pageRows }

// A seenPage is what changes with every check of the devices whose numbers have
// a quotient by pageRows in common, by the remainder. It is stored as the byte
// 1 (the format) and for each device up to the last that was seen 18 bytes,
// all big-endian: the time in milliseconds since 1970 (6), generation (4), and
// highest nonce of a check under the keys of that generation (8).
type seenPage [pageRows]seenEntry

type seenEntry struct {
	ms         uint48
	generation uint32
	nonce      uint64
}

const (
	seenFormat    = 1
	seenEntrySize = 18
)

// overlay moves a device that was read from its row on to what its page says.
func (e seenEntry) overlay(d *Device) {
	if seen := e.ms.time(); seen.After(d.LastSeen) {
		d.LastSeen = seen
	}
	if e.generation == d.Generation {
		d.CheckNonce = max(d.CheckNonce, e.nonce)
	}
}

// merge moves an entry on to another: nothing goes back. Each generation of
// keys starts its nonces again.
func (e *seenEntry) merge(other seenEntry) {
	if other.ms.value() > e.ms.value() {
		e.ms = other.ms
	}
	switch {
	case other.generation > e.generation:
		e.generation, e.nonce = other.generation, other.nonce
	case other.generation == e.generation:
		e.nonce = max(e.nonce, other.nonce)
	}
}

func (p *seenPage) merge(other *seenPage) {
	for i := range p {
		p[i].merge(other[i])
	}
}

func (p *seenPage) append(dst []byte) []byte {
	last := len(p)
	for last > 0 && p[last-1] == (seenEntry{}) {
		last--
	}
	dst = append(dst, seenFormat)
	for _, e := range p[:last] {
		ms := e.ms.value()
		dst = binary.BigEndian.AppendUint16(dst, uint16(ms>>32))
		dst = binary.BigEndian.AppendUint32(dst, uint32(ms))
		dst = binary.BigEndian.AppendUint32(dst, e.generation)
		dst = binary.BigEndian.AppendUint64(dst, e.nonce)
	}
	return dst
}

func (p *seenPage) decode(raw []byte) error {
	*p = seenPage{}
	size := len(raw) - 1
	if size < 0 || raw[0] != seenFormat || size%seenEntrySize != 0 || size/seenEntrySize > pageRows {
		return fmt.Errorf("page of last-seen times: %w: %d bytes in an unknown form", store.ErrDamaged, len(raw))
	}
	for i, raw := 0, raw[1:]; len(raw) > 0; i, raw = i+1, raw[seenEntrySize:] {
		ms := uint64(binary.BigEndian.Uint16(raw))<<32 | uint64(binary.BigEndian.Uint32(raw[2:]))
		p[i] = seenEntry{packUint48(ms), binary.BigEndian.Uint32(raw[6:]), binary.BigEndian.Uint64(raw[10:])}
	}
	return nil
}

// loadPage reads a page, an empty one if it is not stored.
func loadPage(tx *store.Tx, number uint32) (*seenPage, error) {
	var raw []byte
	page := &seenPage{}
	err := tx.Get(`SELECT content FROM seen_pages WHERE page = $1`, []any{int64(number)}, &raw)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return page, nil
	case err != nil:
		return nil, err
	}
	return page, page.decode(raw)
}

// loadPages calls f for the pages from from to below to.
func loadPages(tx *store.Tx, from, to uint32, f func(number uint32, page *seenPage)) error {
	return eachPage(tx, `WHERE page >= $1 AND page < $2`, []any{int64(from), int64(to)}, f)
}

func eachPage(tx *store.Tx, where string, args []any, f func(number uint32, page *seenPage)) error {
	return tx.Each(`SELECT page, content FROM seen_pages `+where, args, func(scan func(...any) error) error {
		var number int64
		var raw sql.RawBytes
		page := &seenPage{}
		if err := scan(&number, &raw); err != nil {
			return err
		}
		if err := page.decode(raw); err != nil {
			return err
		}
		f(uint32(number), page)
		return nil
	})
}
