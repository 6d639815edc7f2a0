package manifest

import (
	"fmt"
	"strconv"
	"strings"
)

// A Sequence orders the releases of one device type: the key epoch in the
// upper 32 bits, the release number in the lower. A new key epoch starts above
// anything that the old key could sign, its largest number included.
type Sequence uint64

// NewSequence joins a key epoch and a release number. Both start at 1.
func NewSequence(epoch, number uint32) Sequence {
	return Sequence(uint64(epoch)<<32 | uint64(number))
}

// Epoch returns the key epoch.
func (s Sequence) Epoch() uint32 { return uint32(s >> 32) }

// Number returns the release number within the epoch.
func (s Sequence) Number() uint32 { return uint32(s) }

// String returns "epoch.number".
func (s Sequence) String() string { return fmt.Sprintf("%d.%d", s.Epoch(), s.Number()) }

// ParseSequence reads what String writes.
func ParseSequence(text string) (Sequence, error) {
	e, n, ok := strings.Cut(text, ".")
	epoch, errE := strconv.ParseUint(e, 10, 32)
	number, errN := strconv.ParseUint(n, 10, 32)
	s := NewSequence(uint32(epoch), uint32(number))
	if !ok || errE != nil || errN != nil || s.String() != text {
		return 0, fmt.Errorf("parse sequence %q: want EPOCH.NUMBER, for instance 1.42", text)
	}
	return s, nil
}

// MarshalText returns "epoch.number": the 64-bit value does not survive the
// numbers of JavaScript.
func (s Sequence) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Sequence) UnmarshalText(text []byte) error {
	parsed, err := ParseSequence(string(text))
	*s = parsed
	return err
}
