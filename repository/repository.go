package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// Names below Dir.
const (
	DatabaseName = "ota.db"
	BlobsName    = "blobs"
	SecretsName  = "secrets"
	CacheName    = "cache"        // copies of images that are in S3
	claimsName   = "uploads.lock" // of the one process that takes uploads for S3 beside SQLite
)

// Topic is what Revision of the store counts changes of the repository under.
const Topic = "repository"

// DefaultReserve is how many bytes of the disk images leave free, so that the
// database can always record what happened.
const DefaultReserve = 64 << 20

// Config says where a repository is. Only Dir is needed.
type Config struct {
	Dir    string // the storage path
	Create bool   // make Dir if it does not exist
	// Database is where the database is: empty for a file in Dir, or
	// postgres://… (docs/operations-storage.md).
	Database string
	// Blobs is where the images are: empty for a directory in Dir, another
	// directory, or s3://BUCKET/PREFIX?…, of which there are copies in Dir.
	Blobs   string
	Quota   int64 // bytes of all images; 0: what the disk holds
	Reserve int64 // bytes of the disk that images leave free; 0: DefaultReserve
	// AuditKey verifies the checkpoints of the audit log in Fsck. Zero: only
	// the hash chain is verified.
	AuditKey trust.PublicKey
	Now      func() time.Time // nil: time.Now
}

// A Repository is an open repository. It is safe for concurrent use.
type Repository struct {
	dir      string
	images   string // where blobs are
	reserve  int64  // bytes of the disk that stay free
	auditKey trust.PublicKey
	now      func() time.Time
	db       *store.DB
	blobs    blobs

	// What has been verified, so that it is not verified again.
	keysets    sync.Map     // hash of the signed keyset → heldKeyset
	manifests  sync.Map     // verification → trust.VerifiedManifest
	remembered atomic.Int64 // manifests, about
}

// An Actor is who does something, for the audit log. Whether he may is decided
// before.
type Actor struct {
	Name    string // "user:alice", "token:ci"
	Address string // from where, or empty
}

// Open opens the repository at cfg.Dir, which must exist unless cfg.Create is
// set; an empty directory becomes an empty repository. It refuses a directory
// that others could change (ErrTooOpen).
func Open(ctx context.Context, cfg Config) (*Repository, error) {
	r, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", cfg.Dir, advise(err))
	}
	return r, nil
}

func open(ctx context.Context, cfg Config) (*Repository, error) {
	r, err := openAnyway(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := r.db.Copying(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// openAnyway opens a repository into which everything may still be being
// copied.
func openAnyway(ctx context.Context, cfg Config) (*Repository, error) {
	if err := prepare(cfg); err != nil {
		return nil, err
	}
	if cfg.Reserve == 0 {
		cfg.Reserve = DefaultReserve
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Database == "" {
		cfg.Database = filepath.Join(cfg.Dir, DatabaseName)
	}
	if cfg.Blobs == "" {
		cfg.Blobs = filepath.Join(cfg.Dir, BlobsName)
	}
	db, err := store.Open(ctx, cfg.Database)
	if err != nil {
		return nil, err
	}
	db.Now = cfg.Now
	images, err := openBlobs(ctx, cfg, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Repository{dir: cfg.Dir, images: cfg.Blobs, reserve: cfg.Reserve, auditKey: cfg.AuditKey, now: cfg.Now, db: db, blobs: images}, nil
}

// prepare makes and checks the directories.
func prepare(cfg Config) error {
	fsys := fsatomic.OS()
	info, err := fsys.Stat(cfg.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && cfg.Create:
		if err := fsatomic.MkdirAll(fsys, cfg.Dir, 0o700); err != nil {
			return err
		}
		if info, err = fsys.Stat(cfg.Dir); err != nil {
			return err
		}
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrMissing, err)
	case err != nil:
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("it is a file, not a directory: %w", fs.ErrInvalid)
	}
	secrets := filepath.Join(cfg.Dir, SecretsName)
	if err := fsatomic.MkdirAll(fsys, secrets, 0o700); err != nil {
		return err
	}
	// Whoever can write to the directory can put another database there.
	for _, dir := range []string{cfg.Dir, filepath.Join(cfg.Dir, BlobsName)} {
		if err := checkMode(dir, 0o022, "go-w"); err != nil {
			return err
		}
	}
	for _, name := range []string{secrets, filepath.Join(cfg.Dir, DatabaseName)} {
		if err := checkMode(name, 0o077, "go="); err != nil {
			return err
		}
	}
	return nil
}

// checkMode refuses a file with any of the forbidden permission bits. What is
// missing is fine. Windows has no such bits; there the access list decides.
func checkMode(name string, forbidden os.FileMode, fix string) error {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || runtime.GOOS == "windows" {
		return nil
	}
	if err != nil {
		return err
	}
	if bad := info.Mode().Perm() & forbidden; bad != 0 {
		return fmt.Errorf("%w: %s has mode %04o: run chmod %s %q", ErrTooOpen, name, info.Mode().Perm(), fix, name)
	}
	return nil
}

// advise adds what to do next to the conditions that people can repair.
func advise(err error) error {
	switch {
	case errors.Is(err, ErrMissing):
		return fmt.Errorf("%w: make the directory, or correct the storage path", err)
	case errors.Is(err, ErrFull):
		return fmt.Errorf("%w: free disk space, or move the storage path", err)
	case errors.Is(err, ErrReadOnly):
		return fmt.Errorf("%w: mount it writable, or move the storage path", err)
	case errors.Is(err, ErrPermission) && !errors.Is(err, ErrTooOpen):
		return fmt.Errorf("%w: run as the owner of the storage path, or change its owner", err)
	}
	return err
}

// Close closes the repository.
func (r *Repository) Close() error { return errors.Join(r.blobs.Close(), r.db.Close()) }

// Dir returns the storage path.
func (r *Repository) Dir() string { return r.dir }

// Store returns the database, in which a server keeps its own tables, too.
func (r *Repository) Store() *store.DB { return r.db }

// Revision returns a number that changes whenever any process added or
// withdrew something. It costs one small read: poll it to refresh what was
// loaded.
func (r *Repository) Revision(ctx context.Context) (int64, error) { return r.db.Revision(ctx, Topic) }

// Firmware opens an image by its digest and returns its size in bytes. Close
// it. Where the image is on this machine it is the *os.File itself, so that it
// can be sent without copying.
func (r *Repository) Firmware(ctx context.Context, digest manifest.Digest) (io.ReadSeekCloser, int64, error) {
	f, size, err := r.blobs.Open(digest)
	if err != nil {
		return nil, 0, fmt.Errorf("firmware: %w", notFound(err))
	}
	return f, size, nil
}

func notFound(err error) error {
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, blob.ErrUnavailable):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
