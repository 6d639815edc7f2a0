//go:build unix

package front

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// A reader waits for a connection without a buffer, and takes one when there is
// something to put into it: 10,000 silent devices would otherwise hold 20 MB.
type reader struct {
	raw syscall.RawConn
	try func(fd uintptr) (done bool) // c.try, made once
	n   int
	err error
}

func (r *reader) open(c *conn) (err error) {
	r.raw, err = c.SyscallConn()
	r.try = c.try
	return err
}

// fill waits for more input and reads what there is.
func (r *reader) fill(c *conn) error {
	if err := r.raw.Read(r.try); err != nil {
		return err
	}
	switch {
	case r.err != nil:
		return r.err
	case r.n == 0:
		return io.EOF
	}
	c.unread += r.n
	return nil
}

func (c *conn) try(fd uintptr) (done bool) {
	if c.input == nil {
		c.input = buffers.Get().(*[bufferSize]byte)
	}
	r := &c.reader
	for r.err = unix.EINTR; r.err == unix.EINTR; {
		r.n, r.err = unix.Read(int(fd), c.input[c.unread:])
	}
	if r.err != unix.EAGAIN {
		return true
	}
	if c.unread == 0 {
		c.release()
	}
	return false
}
