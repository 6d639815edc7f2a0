package fleet

import (
	"encoding/binary"
	"maps"
	"slices"
	"sync"
)

// maxUnpacked is how many sets of labels stay unpacked. Fleets have a few
// hundred; of one that gives each device a label of its own, a map for each
// would be half the memory of the server.
const maxUnpacked = 4096

// packLabels returns labels as a text, the same for the same labels: names and
// values in turn, each after its length.
func packLabels(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	var packed []byte
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		for _, s := range [...]string{name, labels[name]} {
			packed = append(binary.AppendUvarint(packed, uint64(len(s))), s...)
		}
	}
	return string(packed)
}

// labelSets are labels as maps, which are never changed.
type labelSets struct {
	mu       sync.RWMutex
	unpacked map[string]map[string]string
}

func (s *labelSets) unpack(packed string) map[string]string {
	if packed == "" {
		return nil
	}
	s.mu.RLock()
	labels, ok := s.unpacked[packed]
	s.mu.RUnlock()
	if ok {
		return labels
	}
	labels = unpackLabels(packed)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unpacked == nil || len(s.unpacked) == maxUnpacked {
		s.unpacked = map[string]map[string]string{}
	}
	s.unpacked[packed] = labels
	return labels
}

func unpackLabels(packed string) map[string]string {
	labels, left := map[string]string{}, []byte(packed)
	next := func() string {
		size, n := binary.Uvarint(left)
		s := left[n : n+int(size)]
		left = left[n+int(size):]
		return string(s)
	}
	for len(left) > 0 {
		name := next()
		labels[name] = next()
	}
	return labels
}
