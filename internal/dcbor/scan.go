package dcbor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// Major types of RFC 8949 section 3.1.
const (
	majorUint = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

var (
	errTruncated = errors.New("the input ends within the item")
	errHead      = errors.New("the head is not the shortest")
	errType      = errors.New("a type outside the profile")
)

// Check reports whether data is exactly one item of the profile. It allocates
// nothing for what the input claims to hold. Its error wraps reason.Malformed.
func Check(data []byte) error {
	s := scanner{data: data}
	err := s.item(MaxDepth)
	if err == nil && len(s.data) > 0 {
		err = errors.New("bytes after the item")
	}
	if err != nil {
		return fmt.Errorf("decode CBOR: %w: at byte %d: %v", reason.Malformed, len(data)-len(s.data), err)
	}
	return nil
}

// A scanner walks over an item. It is the profile in code: what the decoder
// behind it would also take never gets there.
type scanner struct {
	data []byte // what is still to be read
}

func (s *scanner) item(depth int) error {
	major, arg, err := s.head()
	if err != nil {
		return err
	}
	switch major {
	case majorNegative:
		if arg > math.MaxInt64 {
			return errors.New("a negative integer below -2^63")
		}
	case majorBytes, majorText:
		return s.str(major, arg)
	case majorArray, majorMap:
		if depth == 0 {
			return fmt.Errorf("more than %d levels", MaxDepth)
		}
		if arg > MaxElements {
			return fmt.Errorf("%d elements, at most %d", arg, MaxElements)
		}
		if major == majorArray {
			return s.array(int(arg), depth-1)
		}
		return s.pairs(int(arg), depth-1)
	}
	return nil
}

// head reads the head of an item in its one shortest form.
func (s *scanner) head() (major byte, arg uint64, err error) {
	if len(s.data) == 0 {
		return 0, 0, errTruncated
	}
	major, info := s.data[0]>>5, s.data[0]&0x1f
	if major == majorTag || major == majorSimple && info != 20 && info != 21 {
		return 0, 0, errType // 20 and 21 are false and true
	}
	s.data = s.data[1:]
	if info < 24 {
		return major, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, errors.New("an indefinite length or a reserved head")
	}
	size := 1 << (info - 24)
	if len(s.data) < size {
		return 0, 0, errTruncated
	}
	var wide [8]byte
	copy(wide[8-size:], s.data)
	arg = binary.BigEndian.Uint64(wide[:])
	if smallest := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}; arg < smallest[info-24] {
		return 0, 0, errHead
	}
	s.data = s.data[size:]
	return major, arg, nil
}

func (s *scanner) str(major byte, size uint64) error {
	if size > uint64(len(s.data)) {
		return errTruncated
	}
	if major == majorText && !utf8.Valid(s.data[:size]) {
		return errors.New("text that is not UTF-8")
	}
	s.data = s.data[size:]
	return nil
}

func (s *scanner) array(n, depth int) error {
	for range n {
		if err := s.item(depth); err != nil {
			return err
		}
	}
	return nil
}

// pairs demands keys in strictly ascending order of their encodings, which
// refuses duplicates too.
func (s *scanner) pairs(n, depth int) error {
	var last []byte
	for range n {
		start := s.data
		if len(start) > 0 && start[0]>>5 > majorText {
			return errors.New("a map key that is neither an integer nor a string")
		}
		if err := s.item(depth); err != nil {
			return err
		}
		key := start[:len(start)-len(s.data)]
		if bytes.Compare(last, key) >= 0 {
			return errors.New("map keys not in strictly ascending order")
		}
		last = key
		if err := s.item(depth); err != nil {
			return err
		}
	}
	return nil
}
