package blob

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/secure-ota/secure-ota/manifest"
)

// partSize is how many bytes a part of a multipart upload has, but for the
// last one: the least that S3 takes. A blob has at most 820 parts.
const partSize = 5 << 20

// A partWriter writes a blob in parts, and makes it visible once all of them
// hash to its digest. At most one part is in memory. A blob of less than a
// part is one object from the start.
type partWriter struct {
	s      *S3
	digest manifest.Digest
	size   int64 // announced

	uploadID string // of the multipart upload; empty: not begun
	etags    []string
	tail     []byte // what does not fill a part yet
	hashes   [3]hash.Hash
}

// Places in partWriter.hashes.
const (
	placeSHA256 = iota
	placeSHA1
	placeMD5
)

func newPartWriter(s *S3, digest manifest.Digest, size int64) *partWriter {
	return &partWriter{s: s, digest: digest, size: size, hashes: [3]hash.Hash{sha256.New(), sha1.New(), md5.New()}}
}

// offset is how many bytes were written, those in the tail included.
func (w *partWriter) offset() int64 { return w.sent() + int64(len(w.tail)) }

// sent is how many bytes the store has in parts.
func (w *partWriter) sent() int64 { return min(int64(len(w.etags))*partSize, w.size) }

func (w *partWriter) write(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), partSize-len(w.tail))
		if w.tail == nil {
			w.tail = make([]byte, 0, min(w.size-w.sent(), partSize))
		}
		w.tail = append(w.tail, p[:n]...)
		p = p[n:]
		if len(w.tail) < partSize {
			continue
		}
		if err := w.send(ctx); err != nil {
			return err
		}
	}
	return nil
}

// send sends the tail as a part. The store holds its bytes against the SHA-256
// that is signed with the request.
func (w *partWriter) send(ctx context.Context) (err error) {
	if w.uploadID == "" {
		small, cancel := small(ctx)
		w.uploadID, err = w.s.client.CreateUpload(small, w.s.key(w.digest))
		cancel()
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, partPatience)
	defer cancel()
	etag, err := w.s.client.PutPart(ctx, w.s.key(w.digest), w.uploadID, len(w.etags)+1, w.tail)
	if err != nil {
		return err
	}
	w.hash(w.tail)
	w.etags = append(w.etags, etag)
	w.tail = w.tail[:0]
	return nil
}

func (w *partWriter) hash(p []byte) {
	for _, h := range w.hashes {
		h.Write(p)
	}
}

// finish makes the blob visible, if it is what it should be.
func (w *partWriter) finish(ctx context.Context) (Sums, error) {
	if w.uploadID == "" {
		return w.finishSmall(ctx)
	}
	if len(w.tail) > 0 {
		if err := w.send(ctx); err != nil {
			return Sums{}, err
		}
	}
	sums := w.sums()
	if err := sums.check(w.digest, w.size); err != nil {
		return Sums{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, partPatience)
	defer cancel()
	return sums, w.s.client.CompleteUpload(ctx, w.s.key(w.digest), w.uploadID, w.etags)
}

func (w *partWriter) finishSmall(ctx context.Context) (Sums, error) {
	w.hash(w.tail)
	sums := w.sums()
	if err := sums.check(w.digest, w.size); err != nil {
		return Sums{}, err
	}
	return sums, w.s.putSmall(ctx, w.s.key(w.digest), w.tail)
}

func (w *partWriter) sums() Sums {
	sums := Sums{SHA256: manifest.Digest(w.hashes[placeSHA256].Sum(nil)), Size: w.offset()}
	w.hashes[placeSHA1].Sum(sums.SHA1[:0])
	w.hashes[placeMD5].Sum(sums.MD5[:0])
	return sums
}

// abort discards the parts that the store has.
func (w *partWriter) abort(ctx context.Context) error {
	return w.s.abortParts(ctx, w.digest, w.uploadID)
}

// abortParts discards a multipart upload, if there is one.
func (s *S3) abortParts(ctx context.Context, digest manifest.Digest, uploadID string) error {
	if uploadID == "" {
		return nil
	}
	ctx, cancel := small(context.WithoutCancel(ctx))
	defer cancel()
	err := explainS3(s.client.AbortUpload(ctx, s.key(digest), uploadID))
	if errors.Is(err, ErrNoUpload) || errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("discard parts: %w", err)
	}
	return nil
}

// putSmall stores an object that is in memory.
func (s *S3) putSmall(ctx context.Context, key string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, partPatience)
	defer cancel()
	return s.client.Put(ctx, key, content)
}

// save returns where the writer stands, to be continued by another process.
func (w *partWriter) save() (s3State, error) {
	u := s3State{Format: s3StateFormat, Size: w.size, Offset: w.offset(), UploadID: w.uploadID, ETags: slices.Clone(w.etags), tail: w.tail}
	for i, h := range w.hashes {
		state, err := h.(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
		if err != nil {
			return s3State{}, fmt.Errorf("keep the state of a hash: %w", err)
		}
		u.Hashes[i] = state
	}
	return u, nil
}

// resume returns a writer that continues where another one was saved.
func (s *S3) resume(digest manifest.Digest, u s3State) (*partWriter, error) {
	w := newPartWriter(s, digest, u.Size)
	for i, h := range w.hashes {
		if len(u.Hashes[i]) == 0 { // nothing was written yet
			continue
		}
		if err := h.(interface{ UnmarshalBinary([]byte) error }).UnmarshalBinary(u.Hashes[i]); err != nil {
			return nil, fmt.Errorf("%w: the state of a hash is of another version: %v", ErrNoUpload, err)
		}
	}
	w.uploadID, w.etags = u.UploadID, slices.Clone(u.ETags)
	if len(u.tail) > 0 {
		w.tail = append(make([]byte, 0, min(u.Size-w.sent(), partSize)), u.tail...)
	}
	return w, nil
}
