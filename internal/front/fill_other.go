//go:build !unix

package front

// A reader reads into a buffer that it holds while it waits.
type reader struct{}

func (reader) open(*conn) error { return nil }

// fill waits for more input and reads what there is.
func (reader) fill(c *conn) error {
	if c.input == nil {
		c.input = buffers.Get().(*[bufferSize]byte)
	}
	n, err := c.Read(c.input[c.unread:])
	c.unread += n
	if n > 0 {
		return nil
	}
	return err
}
