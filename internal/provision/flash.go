package provision

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrFlash is wrapped by a flash, or a layout, that cannot be.
var ErrFlash = errors.New("flash")

// A Flash describes a part's flash, as struct ota_flash does.
type Flash struct {
	Page   int  // bytes that one erase clears
	Unit   int  // bytes that one write writes: a power of two from 1 to 256
	Erased byte // what an erased byte reads as: 0x00 or 0xff
}

// DefaultFlash is the flash of which nothing else was said.
var DefaultFlash = Flash{Page: 4096, Unit: 4, Erased: 0xff}

// Validate says what is wrong with it.
func (f Flash) Validate() error {
	switch {
	case f.Unit < 1 || f.Unit > 256 || f.Unit&(f.Unit-1) != 0:
		return fmt.Errorf("%w: write unit of %d bytes: want a power of two from 1 to 256", ErrFlash, f.Unit)
	case f.Page < 1 || f.Page > 1<<20 || f.Page%f.Unit != 0:
		return fmt.Errorf("%w: page of %d bytes: want a multiple of the unit, at most 1 MiB", ErrFlash, f.Page)
	case f.Erased != 0x00 && f.Erased != 0xff:
		return fmt.Errorf("%w: erased value 0x%02x: want 0x00 or 0xff", ErrFlash, f.Erased)
	}
	return nil
}

// erased returns n bytes as an erase leaves them.
func (f Flash) erased(n int) []byte { return bytes.Repeat([]byte{f.Erased}, n) }

// pad fills data up with erased bytes to a multiple of step.
func (f Flash) pad(data []byte, step int) []byte {
	return append(data, f.erased((step-len(data)%step)%step)...)
}
