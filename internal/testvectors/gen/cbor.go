package main

import (
	"encoding/binary"
	"slices"
)

// The generator writes CBOR with these few functions and with nothing that is
// judged by its vectors. They write what they are told, hostile or not.

func head(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return wide(major, 1, n)
	case n < 1<<16:
		return wide(major, 2, n)
	case n < 1<<32:
		return wide(major, 4, n)
	}
	return wide(major, 8, n)
}

// wide writes a head with an argument of that many bytes, needed or not.
func wide(major byte, size int, n uint64) []byte {
	info := map[int]byte{1: 24, 2: 25, 4: 26, 8: 27}[size]
	arg := binary.BigEndian.AppendUint64(nil, n)
	return append([]byte{major<<5 | info}, arg[8-size:]...)
}

func num(n uint64) []byte { return head(0, n) }

func integer(n int64) []byte {
	if n < 0 {
		return head(1, uint64(-1-n))
	}
	return head(0, uint64(n))
}

func bstr(b []byte) []byte { return append(head(2, uint64(len(b))), b...) }

func tstr(s string) []byte { return append(head(3, uint64(len(s))), s...) }

func array(items ...[]byte) []byte {
	return append(head(4, uint64(len(items))), slices.Concat(items...)...)
}

// pairs writes a map; its items are keys and values in turn.
func pairs(items ...[]byte) []byte {
	return append(head(5, uint64(len(items)/2)), slices.Concat(items...)...)
}

func boolean(b bool) []byte {
	if b {
		return []byte{0xf5}
	}
	return []byte{0xf4}
}

// numbers writes an array of small integers where a byte string belongs: a
// lenient decoder takes it for one.
func numbers(b []byte) []byte {
	items := make([][]byte, len(b))
	for i, c := range b {
		items[i] = num(uint64(c))
	}
	return array(items...)
}

// nested writes an item inside that many arrays.
func nested(levels int, item []byte) []byte {
	for range levels {
		item = array(item)
	}
	return item
}

// A payload is a map with integer keys, in order, whose values are encoded.
type payload []field

type field struct {
	key   int64
	value []byte
}

// with returns a copy with one field set: replaced, or put in at its place.
func (p payload) with(key int64, value []byte) payload {
	c := p.without(key)
	i := slices.IndexFunc(c, func(f field) bool { return f.key > key })
	if i < 0 {
		i = len(c)
	}
	return slices.Insert(c, i, field{key, value})
}

// without returns a copy without one field.
func (p payload) without(key int64) payload {
	return slices.DeleteFunc(slices.Clone(p), func(f field) bool { return f.key == key })
}

func (p payload) encode() []byte {
	var items [][]byte
	for _, f := range p {
		items = append(items, integer(f.key), f.value)
	}
	return pairs(items...)
}
