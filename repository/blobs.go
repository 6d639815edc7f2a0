package repository

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/manifest"
)

// blobs is what a repository needs of the place where images are.
// internal/blob has it on files and in S3; internal/blob/blobtest says what it
// must do.
type blobs interface {
	Put(ctx context.Context, digest manifest.Digest, size int64, r io.Reader) (blob.Sums, error)
	Upload(ctx context.Context, digest manifest.Digest, size int64) (blob.State, error)
	Append(ctx context.Context, digest manifest.Digest, offset int64, r io.Reader) (end int64, err error)
	Finish(ctx context.Context, digest manifest.Digest) (blob.Sums, error)
	Open(digest manifest.Digest) (io.ReadSeekCloser, int64, error)
	Stat(digest manifest.Digest) (size int64, err error)
	Verify(ctx context.Context, digest manifest.Digest) (blob.Sums, error)
	Remove(digest manifest.Digest) error
	Items() iter.Seq2[blob.Item, error]
	Expire(since time.Time) (removed int, err error)
	Close() error
}
