package blob

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/manifest"
)

// Sums are the digests of a blob. Old update protocols announce MD5 and SHA-1;
// nothing here trusts them.
type Sums struct {
	SHA256 manifest.Digest
	SHA1   [sha1.Size]byte
	MD5    [md5.Size]byte
	Size   int64 // bytes
}

// chunk is how much of a blob is read at a time, in bytes. What is only hashed
// is read in pieces that stay in the cache of a core.
const (
	chunk      = 256 << 10
	smallChunk = 32 << 10
)

// check compares what was read with what was announced.
func (s Sums) check(digest manifest.Digest, size int64) error {
	if s.Size != size {
		return fmt.Errorf("%w: %d bytes, want %d", ErrSize, s.Size, size)
	}
	if s.SHA256 != digest {
		return fmt.Errorf("%w: they hash to %s, want %s", ErrDigest, s.SHA256, digest)
	}
	return nil
}

// Check reads r to its end and says whether it has the digest and the size. It
// stores nothing.
func Check(ctx context.Context, digest manifest.Digest, size int64, r io.Reader) error {
	h := sha256.New()
	n, err := pump(ctx, r, size, reuse(min(size, smallChunk)), func(p []byte) error { h.Write(p); return nil })
	if err != nil {
		return err
	}
	return Sums{SHA256: manifest.Digest(h.Sum(nil)), Size: n}.check(digest, size)
}

// pump hands the bytes of r to sink, piece by piece, each read into the next
// buffer, and stops with ErrSize as soon as there are more than max.
func pump(ctx context.Context, r io.Reader, max int64, buffer func() []byte, sink func([]byte) error) (n int64, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		buf := buffer()
		m, readErr := io.ReadFull(r, buf)
		if int64(m) > max-n {
			return n, fmt.Errorf("%w: more than %d bytes", ErrSize, max)
		}
		if m > 0 {
			if err := sink(buf[:m]); err != nil {
				return n, err
			}
			n += int64(m)
		}
		switch readErr {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return n, nil
		default:
			return n, fmt.Errorf("read image: %w", readErr)
		}
	}
}

// newBuffer returns a buffer for images of at most max bytes: one more shows
// that there are more.
func newBuffer(max int64) []byte { return make([]byte, min(chunk, max+1)) }

// reuse returns the same buffer each time.
func reuse(max int64) func() []byte {
	buf := newBuffer(max)
	return func() []byte { return buf }
}
