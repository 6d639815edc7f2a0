package native

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Limits of a firmware stream: a reader that takes less than minRate bytes a
// second over stallTime is cut. It would hold a connection for nothing.
const (
	minRate   = 1 << 10 // bytes a second
	stallTime = 60 * time.Second
)

// stream sends a part of the file, moving the write deadline along as the
// reader makes progress.
//
// w is the server's own ResponseWriter and f a bare *os.File: on a plain
// connection each copy is then a sendfile, and the image never passes through
// this process. Wrapping either would lose that.
func (h *Handler) stream(w http.ResponseWriter, f *os.File, s span) error {
	if _, err := f.Seek(s.start, io.SeekStart); err != nil {
		return fmt.Errorf("seek to %d: %w", s.start, err)
	}
	control := http.NewResponseController(w)
	chunk := int64(minRate * h.stall / time.Second)
	for left := s.length; left > 0; {
		if err := control.SetWriteDeadline(time.Now().Add(h.stall)); err != nil {
			return fmt.Errorf("set write deadline: %w", err)
		}
		n, err := io.CopyN(w, f, min(left, chunk))
		left -= n
		if err != nil {
			return fmt.Errorf("send: %d bytes missing: %w", left, err)
		}
	}
	return nil
}
