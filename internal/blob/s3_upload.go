package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/manifest"
)

// Upload is Dir.Upload. Any process may continue what another one began.
func (s *S3) Upload(ctx context.Context, digest manifest.Digest, size int64) (state State, err error) {
	err = s.exclusively(ctx, digest, func() error {
		state, err = s.begin(ctx, digest, size)
		return err
	})
	return state, wrap("begin", digest, explainS3(err))
}

// Append is Dir.Append.
func (s *S3) Append(ctx context.Context, digest manifest.Digest, offset int64, r io.Reader) (end int64, err error) {
	err = s.exclusively(ctx, digest, func() error {
		end, err = s.append(ctx, digest, offset, r)
		return err
	})
	return end, wrap("continue", digest, explainS3(err))
}

// Finish is Dir.Finish.
func (s *S3) Finish(ctx context.Context, digest manifest.Digest) (sums Sums, err error) {
	err = s.exclusively(ctx, digest, func() error {
		sums, err = s.finish(ctx, digest)
		return err
	})
	return sums, wrap("finish", digest, explainS3(err))
}

// Abort is Dir.Abort.
func (s *S3) Abort(digest manifest.Digest) error {
	ctx := context.Background()
	err := s.exclusively(ctx, digest, func() error { return s.discard(ctx, digest) })
	return wrap("abort", digest, explainS3(err))
}

// exclusively runs f as the only one who works on the upload of digest, in
// this process and others. Should a claim be lost in between, the worst is an
// upload that has to begin again: the store puts parts together only if they
// are those that were hashed.
func (s *S3) exclusively(ctx context.Context, digest manifest.Digest, f func() error) error {
	s.mu.Lock()
	busy := s.busy[digest]
	s.busy[digest] = true
	s.mu.Unlock()
	if busy {
		return ErrBusy
	}
	defer func() {
		s.mu.Lock()
		delete(s.busy, digest)
		s.mu.Unlock()
	}()
	if s.cfg.Claims != nil {
		release, err := s.cfg.Claims.Claim(ctx, digest)
		if err != nil {
			return err
		}
		defer release()
	}
	return f()
}

func (s *S3) begin(ctx context.Context, digest manifest.Digest, size int64) (State, error) {
	stored, err := s.Stat(digest)
	if err == nil && stored == size {
		return State{Size: size, Offset: size, Stored: true}, nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return State{}, err
	}
	u, err := s.readState(ctx, digest)
	if err == nil && u.Size == size {
		return State{Size: size, Offset: u.Offset}, nil
	}
	if err != nil && !errors.Is(err, ErrNoUpload) {
		return State{}, err
	}
	if err := s.discard(ctx, digest); err != nil {
		return State{}, err
	}
	// One at a time: two that both see the last free bytes would both get them.
	s.admission.Lock()
	defer s.admission.Unlock()
	if err := errors.Join(s.crowded(), s.room(size)); err != nil {
		return State{}, err
	}
	return State{Size: size}, s.writeState(ctx, digest, s3State{Size: size})
}

func (s *S3) append(ctx context.Context, digest manifest.Digest, offset int64, r io.Reader) (int64, error) {
	u, err := s.readState(ctx, digest)
	if err != nil {
		return 0, err
	}
	if offset != u.Offset {
		return u.Offset, &OffsetError{Given: offset, Want: u.Offset}
	}
	w, err := s.resume(digest, u)
	if err != nil {
		return u.Offset, errors.Join(err, s.discard(ctx, digest))
	}
	save := func() error {
		if w.offset() == u.Offset {
			return nil
		}
		next, err := w.save()
		if err == nil {
			err = s.writeState(context.WithoutCancel(ctx), digest, next)
		}
		if err == nil {
			u.Offset = next.Offset
		}
		return err
	}
	left := u.Size - u.Offset
	_, err = pump(ctx, r, left, reuse(left), func(p []byte) error {
		if err := w.write(ctx, p); err != nil {
			return err
		}
		if w.sent()-u.Offset < DefaultSyncEvery {
			return nil
		}
		return save()
	})
	// What broke off in the middle of a part is in the tail, and is kept.
	err = errors.Join(err, save())
	return u.Offset, err
}

func (s *S3) finish(ctx context.Context, digest manifest.Digest) (Sums, error) {
	u, err := s.readState(ctx, digest)
	if errors.Is(err, ErrNoUpload) {
		return s.finished(ctx, digest, err)
	}
	if err != nil {
		return Sums{}, err
	}
	if u.Offset != u.Size {
		return Sums{}, fmt.Errorf("%w: %d of %d bytes are here", ErrSize, u.Offset, u.Size)
	}
	w, err := s.resume(digest, u)
	if err != nil {
		return Sums{}, errors.Join(err, s.discard(ctx, digest))
	}
	sums, err := w.finish(ctx)
	err = explainS3(err)
	switch {
	case errors.Is(err, ErrNoUpload): // its parts are put together already, or are not those that were hashed
		sums, verifying := s.finished(ctx, digest, err)
		if verifying != nil {
			return Sums{}, errors.Join(verifying, s.discard(ctx, digest))
		}
		return sums, nil
	case errors.Is(err, ErrDigest), errors.Is(err, ErrSize):
		return Sums{}, errors.Join(err, s.discard(ctx, digest))
	case err != nil:
		return Sums{}, err
	}
	return sums, s.discard(ctx, digest)
}

// finished finds that an earlier call has made the blob, even if that call
// failed after it, and removes the rest. Without a blob it returns cause.
func (s *S3) finished(ctx context.Context, digest manifest.Digest, cause error) (Sums, error) {
	sums, err := s.Verify(ctx, digest)
	if errors.Is(err, ErrNotFound) {
		return Sums{}, cause
	}
	if err != nil {
		return Sums{}, err
	}
	return sums, s.discard(ctx, digest)
}
