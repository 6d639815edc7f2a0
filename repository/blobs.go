package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/store"
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

// openBlobs opens the place where images are.
func openBlobs(ctx context.Context, cfg Config, db *store.DB) (blobs, error) {
	if !blob.IsS3(cfg.Blobs) {
		return blob.Open(fsatomic.OS(), cfg.Blobs, blob.Config{Quota: cfg.Quota, Reserve: cfg.Reserve, Free: blob.DiskFree})
	}
	return blob.OpenS3(ctx, cfg.Blobs, blob.S3Config{
		Quota: cfg.Quota, Reserve: cfg.Reserve, Cache: filepath.Join(cfg.Dir, CacheName), Claims: claims(cfg, db),
	})
}

// claims keeps replicas out of each other's uploads. Beside SQLite, which one
// machine has, one process takes them all.
func claims(cfg Config, db *store.DB) blob.Claims {
	if store.IsPostgres(cfg.Database) {
		return databaseClaims{db}
	}
	return blob.NewFileClaims(fsatomic.OS(), filepath.Join(cfg.Dir, claimsName))
}

type databaseClaims struct{ db *store.DB }

func (c databaseClaims) Claim(ctx context.Context, digest manifest.Digest) (release func(), err error) {
	release, err = c.db.Claim(ctx, "upload "+digest.String())
	if errors.Is(err, store.ErrClaimed) {
		err = fmt.Errorf("%w: another replica takes it", blob.ErrBusy)
	}
	return release, err
}

func (c databaseClaims) Close() error { return nil }
