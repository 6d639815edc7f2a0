package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// A shape names the parts of an object for annotate.
type shape struct {
	name   string
	inside *shape          // what a byte string contains, if that is CBOR
	items  []shape         // of an array, in order
	each   *shape          // of an array of any length
	fields map[int64]shape // of a map
}

// annotate writes an object one item a line: its bytes on the left, long
// strings cut, and what they mean on the right.
func annotate(raw []byte, s shape) string {
	a := annotator{data: raw}
	a.item(0, s)
	return a.out.String()
}

type annotator struct {
	data []byte
	out  strings.Builder
}

const (
	shownBytes   = 12
	commentStart = 52
)

func (a *annotator) line(depth int, raw []byte, format string, args ...any) {
	hex := fmt.Sprintf("% x", raw[:min(len(raw), shownBytes)])
	if len(raw) > shownBytes {
		hex += " …"
	}
	left := strings.Repeat("  ", depth) + hex
	fmt.Fprintf(&a.out, "%s%s%s\n", left, strings.Repeat(" ", max(1, commentStart-len([]rune(left)))), fmt.Sprintf(format, args...))
}

// take cuts the next head off.
func (a *annotator) take() (head []byte, major byte, n uint64) {
	major, info := a.data[0]>>5, a.data[0]&0x1f
	size := 1
	n = uint64(info)
	if info >= 24 {
		size += 1 << (info - 24)
		var wide [8]byte
		copy(wide[9-size:], a.data[1:size])
		n = binary.BigEndian.Uint64(wide[:])
	}
	head, a.data = a.data[:size], a.data[size:]
	return head, major, n
}

func (a *annotator) item(depth int, s shape) {
	head, major, n := a.take()
	name := s.name
	if name != "" {
		name += ": "
	}
	switch major {
	case 0:
		a.line(depth, head, "%s%d", name, n)
	case 1:
		a.line(depth, head, "%s-%d", name, n+1)
	case 2:
		content := a.data[:n]
		a.data = a.data[n:]
		if s.inside == nil {
			a.line(depth, append(head[:len(head):len(head)], content...), "%s%d bytes", name, n)
			return
		}
		a.line(depth, head, "%s%d bytes", name, n)
		inner := annotator{data: content}
		inner.item(depth+1, *s.inside)
		a.out.WriteString(inner.out.String())
	case 3:
		content := a.data[:n]
		a.data = a.data[n:]
		a.line(depth, append(head[:len(head):len(head)], content...), "%s%q", name, content)
	case 4:
		a.line(depth, head, "%sarray of %d", name, n)
		for i := range int(n) {
			a.item(depth+1, s.at(i))
		}
	case 5:
		a.line(depth, head, "%smap of %d", name, n)
		for range n {
			a.pair(depth+1, s)
		}
	case 6:
		a.line(depth, head, "%stag %d", name, n)
		a.item(depth+1, shape{name: "", items: s.items})
	case 7:
		a.line(depth, head, "%s%t", name, n == 21)
	}
}

func (s shape) at(i int) shape {
	if s.each != nil {
		return *s.each
	}
	if i < len(s.items) {
		return s.items[i]
	}
	return shape{}
}

// pair writes a key and its value; the name of the field stands at the value.
func (a *annotator) pair(depth int, s shape) {
	head, major, n := a.take()
	key := int64(n)
	if major == 1 {
		key = -1 - int64(n)
	}
	a.line(depth, head, "key %d", key)
	a.item(depth+1, s.fields[key])
}
