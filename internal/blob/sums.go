package blob

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"

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

// chunk is how much of a blob is in memory at a time, in bytes.
const chunk = 256 << 10

// A summer computes all sums at once, the two old ones beside the others on a
// second core: MD5 takes three times as long as SHA-256 with hardware support.
type summer struct {
	sha256, sha1, md5 hash.Hash
	size              int64
}

func newSummer() *summer {
	return &summer{sha256: sha256.New(), sha1: sha1.New(), md5: md5.New()}
}

// Write adds p, and has finished with it on return.
func (s *summer) Write(p []byte) (int, error) {
	return len(p), s.with(p, func() error { return nil })
}

// with adds p while also runs.
func (s *summer) with(p []byte, also func() error) error {
	var old sync.WaitGroup
	old.Go(func() {
		s.md5.Write(p)
		s.sha1.Write(p)
	})
	s.sha256.Write(p)
	s.size += int64(len(p))
	err := also()
	old.Wait()
	return err
}

func (s *summer) sums() Sums {
	sums := Sums{SHA256: manifest.Digest(s.sha256.Sum(nil)), Size: s.size}
	s.sha1.Sum(sums.SHA1[:0])
	s.md5.Sum(sums.MD5[:0])
	return sums
}

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
	n, err := pump(ctx, r, size, func(p []byte) error { h.Write(p); return nil })
	if err != nil {
		return err
	}
	return Sums{SHA256: manifest.Digest(h.Sum(nil)), Size: n}.check(digest, size)
}

// pump hands the bytes of r to sink, piece by piece, and stops with ErrSize as
// soon as there are more than max.
func pump(ctx context.Context, r io.Reader, max int64, sink func([]byte) error) (n int64, err error) {
	buf := make([]byte, chunk)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
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
