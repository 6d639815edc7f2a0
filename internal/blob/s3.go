package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/s3"
	"github.com/secure-ota/secure-ota/manifest"
)

// S3Config says how an S3 keeps blobs. Its zero value bounds nothing.
type S3Config struct {
	MaxSize int64 // bytes of one blob; 0: what a manifest can name
	Quota   int64 // bytes of all blobs and uploads; 0: none
	// Cache is the directory of local copies, which the location bounds. Empty:
	// none are kept.
	Cache   string
	Reserve int64         // bytes of the disk of the cache that stay free
	Claims  Claims        // closed with the S3; nil: there is no other process
	Stall   time.Duration // a request of which no byte moves for so long is given up; 0: 15 s
}

// Claims keep processes out of each other's uploads.
type Claims interface {
	// Claim makes this process the only one that works on the upload of a blob,
	// until release is called or the process ends. ErrBusy: another one does.
	Claim(ctx context.Context, digest manifest.Digest) (release func(), err error)
	Close() error
}

// Bounds of one request to the store.
const (
	smallPatience = 10 * time.Second // without content worth mentioning
	partPatience  = 2 * time.Minute  // of one part
)

// An S3 keeps blobs in a bucket of an S3-compatible store, below a prefix:
//
//	sha256/ab34…        a blob, complete and verified before it appeared
//	uploads/ab34….state where an upload stands; its parts are a multipart upload
//
// An object appears there whole or not at all, so that what Dir does by
// renaming, the store does here. It is safe for concurrent use, and other
// processes may use the same bucket.
type S3 struct {
	client *s3.Client
	loc    s3Location
	cfg    S3Config
	copies *cache // nil: none

	admission sync.Mutex // between asking for room and taking it

	mu   sync.Mutex
	busy map[manifest.Digest]bool // uploads that a call of this process works on
}

// OpenS3 opens the place at a location s3://BUCKET/PREFIX?…. A bucket that does
// not exist or does not let us in is an error. That nobody answers is none:
// what there are copies of can be read.
func OpenS3(ctx context.Context, location string, cfg S3Config) (*S3, error) {
	loc, err := parseS3(location)
	if err != nil {
		return nil, err
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = manifest.MaxImageSize
	}
	s := &S3{client: loc.client(cfg.Stall), loc: loc, cfg: cfg, busy: map[manifest.Digest]bool{}}
	if err := s.reachable(ctx); err != nil {
		return nil, fmt.Errorf("open images at %s: %w", location, err)
	}
	if cfg.Cache != "" && loc.cache > 0 {
		dir, err := Open(fsatomic.OS(), filepath.Clean(cfg.Cache), Config{Reserve: cfg.Reserve, Free: DiskFree})
		if err != nil {
			return nil, fmt.Errorf("open copies of images: %w", err)
		}
		if s.copies, err = openCache(dir, loc.cache); err != nil {
			return nil, fmt.Errorf("open copies of images: %w", err)
		}
	}
	return s, nil
}

func (s *S3) reachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, smallPatience/2)
	defer cancel()
	err := explainS3(s.client.CheckBucket(ctx))
	switch {
	case errors.Is(err, ErrUnavailable):
		return nil
	case errors.Is(err, ErrNotFound): // the answer has no words
		return errNoBucket
	}
	return err
}

// Close ends the copying in the background. Open blobs stay open.
func (s *S3) Close() error {
	if s.copies != nil {
		s.copies.close()
	}
	s.client.Close()
	if s.cfg.Claims != nil {
		return s.cfg.Claims.Close()
	}
	return nil
}

func (s *S3) key(digest manifest.Digest) string {
	return s.loc.prefix + blobsName + "/" + digest.String()
}

// turnPatience is for what is asked while the database's one turn to write is
// held. It is well below the time after which PostgreSQL takes the turn from
// whoever is idle: another replica could then publish an image that is about to
// be removed.
const turnPatience = 3 * time.Second

// small bounds a request that carries little.
func small(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, smallPatience)
}

// Put is Dir.Put.
func (s *S3) Put(ctx context.Context, digest manifest.Digest, size int64, r io.Reader) (Sums, error) {
	sums, err := s.put(ctx, digest, size, r)
	if err != nil {
		return Sums{}, fmt.Errorf("store blob %s: %w", digest, explainS3(err))
	}
	return sums, nil
}

func (s *S3) put(ctx context.Context, digest manifest.Digest, size int64, r io.Reader) (Sums, error) {
	if err := s.room(size); err != nil {
		return Sums{}, err
	}
	w := newPartWriter(s, digest, size)
	_, err := pump(ctx, r, size, reuse(size), func(p []byte) error { return w.write(ctx, p) })
	var sums Sums
	if err == nil {
		sums, err = w.finish(ctx)
	}
	if err != nil {
		return Sums{}, errors.Join(err, w.abort(ctx))
	}
	return sums, nil
}

// Stat is Dir.Stat.
func (s *S3) Stat(digest manifest.Digest) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), turnPatience)
	defer cancel()
	return s.stat(ctx, digest)
}

func (s *S3) stat(ctx context.Context, digest manifest.Digest) (int64, error) {
	info, err := s.client.Head(ctx, s.key(digest))
	if err != nil {
		return 0, fmt.Errorf("blob %s: %w", digest, explainS3(err))
	}
	return info.Size, nil
}

// Verify is Dir.Verify. It reads what the store has. A local copy that is not
// the same any more is removed, so that nobody is given it.
func (s *S3) Verify(ctx context.Context, digest manifest.Digest) (Sums, error) {
	f, size, err := s.stream(ctx, digest)
	if err != nil {
		return Sums{}, err
	}
	defer f.Close()
	sums, err := sum(ctx, f, digest, size)
	if err != nil {
		return Sums{}, fmt.Errorf("blob %s: %w", digest, explainS3(err))
	}
	if s.copies != nil {
		s.copies.verify(ctx, digest)
	}
	return sums, nil
}

// Remove removes a blob, and the local copy. Copies of other processes go when
// their room is needed.
func (s *S3) Remove(digest manifest.Digest) error {
	ctx, cancel := context.WithTimeout(context.Background(), turnPatience)
	defer cancel()
	if _, err := s.stat(ctx, digest); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if err := s.client.Delete(ctx, s.key(digest)); err != nil {
		return fmt.Errorf("remove blob %s: %w", digest, explainS3(err))
	}
	if s.copies != nil {
		s.copies.forget(digest)
	}
	return nil
}
