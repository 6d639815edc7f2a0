package native

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Limits of a firmware stream: a reader that takes less than minRate bytes a
// second over stallTime is cut. It would hold a connection for nothing.
const (
	minRate   = 1 << 10 // bytes a second
	stallTime = 60 * time.Second
)

type connKey struct{}

// WithConn returns a context from which a Handler learns the connection of a
// request, to see how its reader gets on. It is an http.Server's ConnContext.
func WithConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// stream sends a part of the file and moves the write deadline along as the
// reader makes progress.
//
// w is the server's own ResponseWriter and f, where the image is on this
// machine, a bare *os.File: on a plain connection the copy is then a sendfile,
// and the image never passes through this process. Wrapping either would lose
// that.
func (h *Handler) stream(ctx context.Context, w http.ResponseWriter, f io.ReadSeeker, s span) error {
	if _, err := f.Seek(s.start, io.SeekStart); err != nil {
		return fmt.Errorf("seek to %d: %w", s.start, err)
	}
	control, step := http.NewResponseController(w), s.length
	conn, _ := ctx.Value(connKey{}).(net.Conn)
	if _, ok := acknowledged(conn); ok {
		defer h.watch(conn, control)()
	} else {
		step = h.window()
	}
	for left := s.length; left > 0; {
		if err := control.SetWriteDeadline(time.Now().Add(h.stall)); err != nil {
			return fmt.Errorf("set write deadline: %w", err)
		}
		n, err := io.CopyN(w, f, min(left, step))
		left -= n
		h.metrics.Sent(n)
		if err != nil {
			return fmt.Errorf("send: %d bytes missing: %w", left, err)
		}
	}
	return nil
}

// window is how many bytes a reader has to take within h.stall.
func (h *Handler) window() int64 { return int64(minRate * h.stall / time.Second) }

// watch moves the write deadline along with what the reader acknowledges, until
// the function that it returns is called.
//
// What the kernel took from us is no measure: it takes megabytes ahead, and then
// nothing until a third of them is gone, which at a few KiB a second is longer
// than any stall.
func (h *Handler) watch(conn net.Conn, control *http.ResponseController) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(h.stall / 8)
		defer tick.Stop()
		mark, _ := acknowledged(conn)
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if now, ok := acknowledged(conn); ok && now-mark >= h.window() {
				mark = now
				control.SetWriteDeadline(time.Now().Add(h.stall)) // a failure ends the stream, which is the worst it can do
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
