package blob

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/secure-ota/secure-ota/manifest"
)

// copyPatience is how long Open waits for a copy before it hands out a stream
// instead: long enough for most images from a store nearby, short enough for a
// device that waits for the first byte.
const copyPatience = 3 * time.Second

// Open opens a blob for reading and returns its size in bytes. It is a file,
// so that sendfile works, if there is a local copy or one can be made while a
// device waits; otherwise it is a stream from the store, which reads from where
// it is told to. What there is a copy of can be read while the store is out of
// reach.
func (s *S3) Open(digest manifest.Digest) (io.ReadSeekCloser, int64, error) {
	if s.copies == nil {
		return s.stream(context.Background(), digest)
	}
	f, size, err := s.copies.open(digest)
	if err == nil {
		return f, size, nil
	}
	timeout := time.NewTimer(copyPatience)
	defer timeout.Stop()
	filling := s.copies.fill(digest, func(ctx context.Context) (io.ReadCloser, int64, error) { return s.stream(ctx, digest) })
	select {
	case <-filling.done:
	case <-timeout.C:
		return s.stream(context.Background(), digest)
	}
	if filling.err == nil {
		if f, size, err := s.copies.open(digest); err == nil {
			return f, size, nil
		}
	}
	switch {
	case errors.Is(filling.err, ErrNotFound), errors.Is(filling.err, ErrDigest), errors.Is(filling.err, ErrUnavailable):
		return nil, 0, filling.err
	}
	return s.stream(context.Background(), digest) // it does not fit, for instance, or had to make room at once
}
