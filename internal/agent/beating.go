package agent

import (
	"net/http"

	"github.com/secure-ota/secure-ota/client"
)

// beating is an Ops in which each request, and each block of a slot, is a sign
// of life: to hash a large slot on a slow device takes longer than a watchdog waits.
type beating struct {
	client.Ops
	alive func()
}

// Do implements client.Ops.
func (b beating) Do(r *http.Request) (*http.Response, error) {
	b.alive()
	return b.Ops.Do(r)
}

// OpenSlot implements client.Ops.
func (b beating) OpenSlot(n int, write bool) (client.Slot, error) {
	s, err := b.Ops.OpenSlot(n, write)
	if err != nil {
		return nil, err
	}
	return beatingSlot{s, b.alive}, nil
}

type beatingSlot struct {
	client.Slot
	alive func()
}

// ReadAt implements io.ReaderAt.
func (s beatingSlot) ReadAt(p []byte, off int64) (int, error) {
	s.alive()
	return s.Slot.ReadAt(p, off)
}

// WriteAt implements io.WriterAt.
func (s beatingSlot) WriteAt(p []byte, off int64) (int, error) {
	s.alive()
	return s.Slot.WriteAt(p, off)
}
