package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
)

// Config bounds what a Dir takes. Its zero value bounds nothing.
type Config struct {
	MaxSize int64 // bytes of one blob; 0: what a manifest can name
	Quota   int64 // bytes of all blobs and uploads; 0: none
	Reserve int64 // bytes of the disk that stay free, for the database and the logs
	// SyncEvery is how many bytes of one Append a power cut can cost; 0:
	// DefaultSyncEvery.
	SyncEvery int64
	// Free returns how many bytes can still be written below dir. Nil: not
	// asked. See DiskFree.
	Free func(dir string) (int64, error)
}

const (
	blobsName   = "sha256"
	uploadsName = "uploads"
	dirPerm     = 0o700
	filePerm    = 0o600
)

// A Dir keeps blobs in one directory. It is safe for concurrent use, and other
// processes may use the same directory.
type Dir struct {
	fsys fsatomic.FS
	path string
	cfg  Config

	admission sync.Mutex // between asking for room and taking it

	mu   sync.Mutex
	busy map[manifest.Digest]bool // uploads that a call works on
	lock io.Closer                // of the process; nil until the first upload
}

// Open opens the directory at path and makes it if it is missing.
func Open(fsys fsatomic.FS, path string, cfg Config) (*Dir, error) {
	if cfg.MaxSize == 0 {
		cfg.MaxSize = manifest.MaxImageSize
	}
	if cfg.SyncEvery == 0 {
		cfg.SyncEvery = DefaultSyncEvery
	}
	d := &Dir{fsys: fsys, path: path, cfg: cfg, busy: map[manifest.Digest]bool{}}
	for _, sub := range []string{blobsName, uploadsName} {
		if err := fsatomic.MkdirAll(fsys, filepath.Join(path, sub), dirPerm); err != nil {
			return nil, fmt.Errorf("open blobs: %w", explain(err))
		}
	}
	return d, nil
}

// Close gives up the lock on uploads. Open blobs stay open.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

// Name returns the file name of a blob, whether it exists or not.
func (d *Dir) Name(digest manifest.Digest) string {
	return filepath.Join(d.path, blobsName, digest.String())
}

// Put stores the size bytes of r under their digest, replacing a copy that is
// there. If they do not hash to the digest (ErrDigest) or are more or less
// (ErrSize), nothing is stored. After nil they are durable.
func (d *Dir) Put(ctx context.Context, digest manifest.Digest, size int64, r io.Reader) (Sums, error) {
	sums, err := d.put(ctx, digest, size, r)
	if err != nil {
		return Sums{}, fmt.Errorf("store blob %s: %w", digest, explain(err))
	}
	return sums, nil
}

func (d *Dir) put(ctx context.Context, digest manifest.Digest, size int64, r io.Reader) (Sums, error) {
	if err := d.room(size); err != nil {
		return Sums{}, err
	}
	pending, err := fsatomic.Create(d.fsys, d.Name(digest), filePerm)
	if err != nil {
		return Sums{}, err
	}
	defer pending.Abort()
	s := newSummer(size)
	defer s.stop()
	write := func(p []byte) error { _, err := pending.Write(p); return err }
	if _, err := pump(ctx, r, size, s.buffer, func(p []byte) error { return s.add(p, write) }); err != nil {
		return Sums{}, err
	}
	if err := s.check(digest, size); err != nil {
		return Sums{}, err
	}
	if err := pending.Commit(); err != nil {
		return Sums{}, err
	}
	return s.sums(), nil
}

// Open opens a blob for reading and returns its size in bytes. On a real file
// system it is an *os.File, so that sendfile works.
func (d *Dir) Open(digest manifest.Digest) (io.ReadSeekCloser, int64, error) {
	f, err := d.fsys.OpenFile(d.Name(digest), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("open blob %s: %w", digest, ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open blob %s: %w", digest, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open blob %s: %w", digest, err), f.Close())
	}
	return f, info.Size(), nil
}

// Stat returns the size of a blob in bytes.
func (d *Dir) Stat(digest manifest.Digest) (int64, error) {
	info, err := d.fsys.Stat(d.Name(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("blob %s: %w", digest, ErrNotFound)
	}
	if err != nil {
		return 0, fmt.Errorf("blob %s: %w", digest, err)
	}
	return info.Size(), nil
}

// Verify reads a stored blob to its end and says whether it still hashes to
// its digest. After nil it is also durable, whoever put it there.
func (d *Dir) Verify(ctx context.Context, digest manifest.Digest) (Sums, error) {
	f, size, err := d.Open(digest)
	if err != nil {
		return Sums{}, err
	}
	defer f.Close()
	sums, err := sum(ctx, f, digest, size)
	if err == nil {
		err = d.settle()
	}
	if err != nil {
		return Sums{}, fmt.Errorf("blob %s: %w", digest, err)
	}
	return sums, nil
}

// settle makes the name of a blob that can be seen durable. Its content is:
// a blob gets its name only afterwards. An upload comes from another
// directory, and has to have left it, too.
func (d *Dir) settle() error {
	if err := d.fsys.SyncDir(filepath.Join(d.path, blobsName)); err != nil {
		return err
	}
	return d.fsys.SyncDir(filepath.Join(d.path, uploadsName))
}

func sum(ctx context.Context, r io.Reader, digest manifest.Digest, size int64) (Sums, error) {
	s := newSummer(size)
	defer s.stop()
	nothing := func([]byte) error { return nil }
	if _, err := pump(ctx, r, size, s.buffer, func(p []byte) error { return s.add(p, nothing) }); err != nil {
		return Sums{}, err
	}
	return s.sums(), s.check(digest, size)
}

// Remove removes a blob durably. Whoever has it open can read on.
func (d *Dir) Remove(digest manifest.Digest) error {
	err := fsatomic.RemoveDurable(d.fsys, d.Name(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob %s: %w", digest, ErrNotFound)
	}
	return err
}
