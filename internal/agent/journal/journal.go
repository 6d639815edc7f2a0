// Package journal keeps one small value, such as the state of a device, so that
// no power cut and no torn or rotten copy loses it.
//
// The value lies in two files, each with a generation and a CRC. Save writes
// the first and then the second, each atomically; Load takes the whole copy of
// the highest generation. After Save has returned nil both files hold the
// value: a counter that is saved before it is used therefore never falls back,
// even if one of the files is lost later. After a Save that failed or was cut,
// Load finds the old value or the new one.
//
// A CRC finds accidents. It is no defence against somebody who can write the
// files; who can do that owns the device.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
)

// Files is where the copies lie. ReadFile returns an error wrapping
// fs.ErrNotExist for a file that is not there. WriteFile replaces a file
// atomically and durably.
type Files interface {
	ReadFile(name string) ([]byte, error)
	WriteFile(name string, data []byte) error
}

// ErrDamaged is wrapped by the error of Load if there is a copy, but no whole one.
var ErrDamaged = errors.New("no whole copy is left")

// MaxPayload is the largest value, in bytes.
const MaxPayload = 1 << 20

// A frame is the magic, the generation, the length of the payload, the CRC of
// all that and of the payload, and the payload. Integers are big-endian.
const (
	magic      = "OTAJRNL1"
	headerSize = len(magic) + 8 + 4 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Journal is one value in two files. It has one writer at a time.
type Journal struct {
	files      Files
	names      [2]string
	generation uint64
}

// New returns the journal of that name; its files are name.a and name.b.
func New(files Files, name string) *Journal {
	return &Journal{files: files, names: [2]string{name + ".a", name + ".b"}}
}

// Load returns the value. If neither file exists the error wraps
// fs.ErrNotExist, if none of those that exist is whole, ErrDamaged. If one could
// not be read and none is whole, it wraps the cause: what cannot be read now is not lost.
func (j *Journal) Load() ([]byte, error) {
	var best []byte
	var failures []error
	unreadable := false
	for _, name := range j.names {
		raw, err := j.files.ReadFile(name)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", name, err))
			unreadable = unreadable || !errors.Is(err, fs.ErrNotExist)
			continue
		}
		generation, payload, err := decode(raw)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if best == nil || generation > j.generation {
			best, j.generation = payload, generation
		}
	}
	if best != nil {
		return best, nil
	}
	err := fmt.Errorf("%w; %w", failures[0], failures[1])
	if unreadable || allMissing(failures) {
		return nil, fmt.Errorf("load %w", err)
	}
	return nil, fmt.Errorf("load: %w: %v", ErrDamaged, err)
}

// allMissing tells a journal that never was from one that cannot be read.
func allMissing(failures []error) bool {
	for _, err := range failures {
		if !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// Save stores the value in both files. After an error the old value is still
// there or the new one is.
func (j *Journal) Save(payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("save %s: %d bytes, at most %d", j.names[0], len(payload), MaxPayload)
	}
	// It rises even if this fails: two different values of one generation could not be told apart.
	j.generation++
	frame := encode(j.generation, payload)
	for _, name := range j.names {
		if err := j.files.WriteFile(name, frame); err != nil {
			return fmt.Errorf("save %s: %w", name, err)
		}
	}
	return nil
}

func encode(generation uint64, payload []byte) []byte {
	b := make([]byte, 0, headerSize+len(payload))
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint64(b, generation)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, checksum(b, payload))
	return append(b, payload...)
}

func decode(raw []byte) (generation uint64, payload []byte, err error) {
	if len(raw) < headerSize || string(raw[:len(magic)]) != magic {
		return 0, nil, errors.New("not a journal, or torn in its header")
	}
	head, payload := raw[:headerSize-4], raw[headerSize:]
	if uint64(binary.BigEndian.Uint32(head[len(magic)+8:])) != uint64(len(payload)) {
		return 0, nil, errors.New("torn: the length is wrong")
	}
	if binary.BigEndian.Uint32(raw[headerSize-4:]) != checksum(head, payload) {
		return 0, nil, errors.New("torn: the checksum is wrong")
	}
	return binary.BigEndian.Uint64(head[len(magic):]), payload, nil
}

func checksum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, payload)
}
