package signing

import (
	"bytes"
	"fmt"
)

// maxExternalAnswer bounds what is read of a signer's output, in bytes.
const maxExternalAnswer = 16 << 10

// errFlood ends a signer whose answer does not end.
var errFlood = fmt.Errorf("it answered with more than %d bytes", maxExternalAnswer)

// bounded keeps the first maxExternalAnswer bytes that are written to it; what
// follows is an error if over is set, and dropped otherwise. It embeds nothing:
// the ReadFrom of a bytes.Buffer would let io.Copy pass by the bound.
type bounded struct {
	buf  bytes.Buffer
	over error
	full bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := maxExternalAnswer - b.buf.Len()
	b.buf.Write(p[:min(len(p), room)])
	if len(p) > room {
		b.full = true
		return len(p), b.over
	}
	return len(p), nil
}
