package blob

import (
	"errors"
	"fmt"
	"syscall"
)

// What can go wrong, for errors.Is.
var (
	ErrNotFound    = errors.New("no such blob")
	ErrNoUpload    = errors.New("no such upload: begin it again")
	ErrBusy        = errors.New("another upload is in the way: try again later")
	ErrSize        = errors.New("not as long as announced")
	ErrDigest      = errors.New("the bytes do not hash to the digest")
	ErrFull        = error(syscall.ENOSPC)
	ErrUnavailable = errors.New("the store of images cannot be reached")
)

// An OffsetError refuses bytes that do not continue an upload where it
// stands.
type OffsetError struct {
	Given int64
	Want  int64 // where the upload stands, in bytes
}

// Error names both offsets.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("upload continues at byte %d, not at %d", e.Want, e.Given)
}

// explain makes a used-up quota of the operating system the same error as a
// full disk.
func explain(err error) error {
	if errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
