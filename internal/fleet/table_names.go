package fleet

import (
	"encoding/binary"
	"runtime"
	"slices"
	"sync/atomic"
)

// Names are stored in chunks of this many bytes, which never move.
const (
	nameChunkBits = 20
	nameChunk     = 1 << nameChunkBits
)

// names keeps the type and id of every device in a few bytes, for ever: devices
// are never removed. Adding is for one goroutine at a time; what was added is
// read without a lock.
type names struct {
	memory *memory
	chunks atomic.Pointer[[][]byte]
	used   int // of the last chunk

	types  atomic.Pointer[[]string]
	typeOf map[string]int
}

// add stores a name and returns where, which is never 0.
func (s *names) add(ref Ref) uint32 {
	record := binary.AppendUvarint(nil, uint64(s.typeNumber(ref.DeviceType)))
	record = binary.AppendUvarint(record, uint64(len(ref.ID)))
	record = append(record, ref.ID...)
	var chunks [][]byte
	if old := s.chunks.Load(); old != nil {
		chunks = *old
	}
	if len(chunks) == 0 || s.used+len(record) > nameChunk {
		if len(chunks) == 1<<(32-nameChunkBits) {
			panic("fleet: more than 4 GiB of device ids")
		}
		chunks = append(slices.Clip(chunks), take[byte](s.memory, nameChunk))
		s.chunks.Store(&chunks)
		s.used = 0
		if len(chunks) == 1 {
			s.used = 1 // place 0 is nowhere
		}
	}
	at := uint32(len(chunks)-1)<<nameChunkBits | uint32(s.used)
	s.used += copy(chunks[len(chunks)-1][s.used:], record)
	return at
}

func (s *names) typeNumber(deviceType string) int {
	n, ok := s.typeOf[deviceType]
	if ok {
		return n
	}
	var types []string
	if old := s.types.Load(); old != nil {
		types = *old
	}
	types = append(slices.Clip(types), deviceType)
	s.types.Store(&types)
	if s.typeOf == nil {
		s.typeOf = map[string]int{}
	}
	s.typeOf[deviceType] = len(types) - 1
	return len(types) - 1
}

// at returns a name in two parts. The id is the stored one: it must not
// outlive the table, nor be changed.
func (s *names) at(name uint32) (deviceType string, id []byte) {
	record := (*s.chunks.Load())[name>>nameChunkBits][name&(nameChunk-1):]
	number, n := binary.Uvarint(record)
	record = record[n:]
	size, n := binary.Uvarint(record)
	return (*s.types.Load())[number], record[n : n+int(size)]
}

// ref returns a copy of a name.
func (s *names) ref(name uint32) Ref {
	defer runtime.KeepAlive(s)
	deviceType, id := s.at(name)
	return Ref{deviceType, string(id)}
}

// is reports whether a name is ref.
func (s *names) is(name uint32, ref Ref) bool {
	defer runtime.KeepAlive(s)
	deviceType, id := s.at(name)
	return string(id) == ref.ID && deviceType == ref.DeviceType
}
