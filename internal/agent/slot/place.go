// Package slot holds the two places of an A/B device in which an image can lie:
// ordinary files, or partitions and other block devices.
//
// A slot is written in place, because nothing boots from it while it is
// written: what makes its content count is the boot loader's switch, after the
// slot was synced and read back. Reading back drops the system's cache first,
// where the system allows it, so that the medium is read and not memory.
package slot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// A Place says where a slot lies.
type Place struct {
	Path   string
	Device bool  // a partition or block device, which exists and keeps its size; otherwise an ordinary file
	Offset int64 // of a device: where the slot begins, in bytes
	Size   int64 // bytes; 0: of a device up to its end, of a file without a bound of its own
}

// ErrBounds is wrapped by the refusal to write outside a slot.
var ErrBounds = errors.New("outside the slot")

// Open opens the slot for reading or, if write is set, for both. A file that is
// not there is made when it is opened for writing; otherwise the error wraps
// fs.ErrNotExist. A device that is mounted is not opened for writing.
func (p Place) Open(fsys fsatomic.FS, write bool) (*Slot, error) {
	flag := os.O_RDONLY
	switch {
	case write && p.Device:
		flag = os.O_RDWR | os.O_EXCL // on Linux: refuse a device in use
	case write:
		flag = os.O_RDWR | os.O_CREATE
	}
	// An image may be a program that runs from its slot.
	file, err := fsys.OpenFile(p.Path, flag, 0o755)
	if err != nil {
		return nil, fmt.Errorf("open slot: %w", err)
	}
	s := &Slot{fsys: fsys, file: file, place: p, end: p.Size}
	if err := s.measure(); err != nil {
		return nil, errors.Join(fmt.Errorf("open slot %s: %w", p.Path, err), file.Close())
	}
	return s, nil
}

// A Slot is an open slot.
type Slot struct {
	fsys  fsatomic.FS
	file  fsatomic.File
	place Place
	end   int64 // capacity in bytes; 0: unknown
}

func (s *Slot) measure() error {
	if !s.place.Device {
		return nil
	}
	// A block device has no length in its Stat.
	length, err := s.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	room := length - s.place.Offset
	if s.place.Offset < 0 || room <= 0 || s.place.Size > room {
		return fmt.Errorf("%w: the device has %d bytes, the slot begins at %d and has %d", ErrBounds, length, s.place.Offset, s.place.Size)
	}
	if s.end == 0 {
		s.end = room
	}
	return nil
}

// Capacity returns how large an image may be, in bytes; 0 if only the disk
// sets a bound.
func (s *Slot) Capacity() int64 { return s.end }

// Size returns how many bytes can be read: of a file its length, of a device
// its capacity.
func (s *Slot) Size() (int64, error) {
	if s.place.Device {
		return s.end, nil
	}
	info, err := s.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("read slot %s: %w", s.place.Path, err)
	}
	return info.Size(), nil
}

// ReadAt reads from the slot.
func (s *Slot) ReadAt(b []byte, off int64) (int, error) {
	if s.place.Device && off >= s.end {
		return 0, io.EOF
	}
	if s.place.Device && int64(len(b)) > s.end-off {
		n, err := s.file.ReadAt(b[:s.end-off], s.place.Offset+off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return s.file.ReadAt(b, s.place.Offset+off)
}

// WriteAt writes into the slot, and nowhere else.
func (s *Slot) WriteAt(b []byte, off int64) (int, error) {
	if off < 0 || s.end > 0 && int64(len(b)) > s.end-off {
		return 0, fmt.Errorf("write slot %s: %w: %d bytes at %d of %d", s.place.Path, ErrBounds, len(b), off, s.end)
	}
	n, err := s.file.WriteAt(b, s.place.Offset+off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return n, fmt.Errorf("write slot: %w", err)
	}
	return n, nil
}

// Sync makes what was written durable.
func (s *Slot) Sync() error {
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync slot: %w", err)
	}
	if s.place.Device {
		return nil
	}
	return s.fsys.SyncDir(filepath.Dir(s.place.Path)) // the file may be new
}

// Seal cuts a file to the size of the image, makes it durable and drops it from
// the system's cache, so that what is read next comes from the medium.
func (s *Slot) Seal(size int64) error {
	length, err := s.Size()
	if err != nil {
		return err
	}
	if !s.place.Device && length != size {
		if err := s.file.Truncate(size); err != nil {
			return fmt.Errorf("cut slot to %d bytes: %w", size, err)
		}
	}
	if err := s.Sync(); err != nil {
		return err
	}
	dropCache(s.file)
	return nil
}

// Close closes the slot. It syncs nothing.
func (s *Slot) Close() error { return s.file.Close() }

// Missing reports whether err says that there is no slot yet.
func Missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
