package dcbor

import (
	"encoding/binary"
	"unicode/utf8"
)

// A Reader reads the items of an encoding one after the other, for messages
// that come so often that a general decoder costs more than all else. It takes
// nothing but the profile: what Check refuses it refuses. It does not say why,
// so that whoever is refused decodes again with Unmarshal, which does.
//
// After the first item that is not what was asked for, everything reads as zero
// and OK is false.
type Reader struct {
	scanner scanner
	failed  bool
}

// NewReader returns a Reader of data, of which it returns parts.
func NewReader(data []byte) Reader { return Reader{scanner: scanner{data: data}} }

// OK reports whether everything was as asked for.
func (r *Reader) OK() bool { return !r.failed }

// Done reports whether everything was as asked for, and nothing is left.
func (r *Reader) Done() bool { return !r.failed && len(r.scanner.data) == 0 }

func (r *Reader) head(want byte) (arg uint64) {
	if r.failed {
		return 0
	}
	major, arg, err := r.scanner.head()
	if err != nil || major != want {
		r.failed = true
		return 0
	}
	return arg
}

// Map reads the head of a map and returns the number of pairs.
func (r *Reader) Map() int { return r.count(majorMap) }

// Array reads the head of an array and returns the number of elements.
func (r *Reader) Array() int { return r.count(majorArray) }

func (r *Reader) count(major byte) int {
	n := r.head(major)
	if n > MaxElements {
		r.failed = true
		return 0
	}
	return int(n)
}

// Uint reads an unsigned integer up to most.
func (r *Reader) Uint(most uint64) uint64 {
	n := r.head(majorUint)
	if n > most {
		r.failed = true
		return 0
	}
	return n
}

// Bytes reads a byte string, which is a part of the data.
func (r *Reader) Bytes() []byte { return r.str(majorBytes) }

// Text reads a text.
func (r *Reader) Text() string {
	raw := r.str(majorText)
	if !utf8.Valid(raw) {
		r.failed = true
		return ""
	}
	return string(raw)
}

func (r *Reader) str(major byte) []byte {
	size := r.head(major)
	if size > uint64(len(r.scanner.data)) {
		r.failed = true
	}
	if r.failed {
		return nil
	}
	raw := r.scanner.data[:size:size]
	r.scanner.data = r.scanner.data[size:]
	return raw
}

// AppendUint appends the encoding of an unsigned integer to dst.
func AppendUint(dst []byte, n uint64) []byte { return appendHead(dst, majorUint, n) }

// AppendText appends the encoding of a text, which is UTF-8, to dst.
func AppendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

// AppendBytes appends the encoding of a byte string to dst.
func AppendBytes(dst, s []byte) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(s))), s...)
}

// AppendMap appends the head of a map of so many pairs to dst.
func AppendMap(dst []byte, pairs int) []byte { return appendHead(dst, majorMap, uint64(pairs)) }

// AppendArray appends the head of an array of so many elements to dst.
func AppendArray(dst []byte, elements int) []byte {
	return appendHead(dst, majorArray, uint64(elements))
}

func appendHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n < 1<<8:
		return append(dst, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}
