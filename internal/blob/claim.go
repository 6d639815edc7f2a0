package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
)

// exclusively runs f as the only one who works on the upload of digest, in
// this process and others.
func (d *Dir) exclusively(digest manifest.Digest, f func() error) error {
	if err := d.claim(digest); err != nil {
		return err
	}
	defer func() {
		d.mu.Lock()
		delete(d.busy, digest)
		d.mu.Unlock()
	}()
	return f()
}

func (d *Dir) claim(digest manifest.Digest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		lock, err := d.lockUploads()
		if err != nil {
			return err
		}
		d.lock = lock
	}
	if d.busy[digest] {
		return ErrBusy
	}
	d.busy[digest] = true
	return nil
}

// lockUploads keeps a second process from writing to the same part files: with
// a descriptor left open it could change a blob after it was verified. Put
// needs no such lock, for its files have names that nobody else knows.
func (d *Dir) lockUploads() (io.Closer, error) {
	return lockName(d.fsys, filepath.Join(d.path, uploadsName, "lock"))
}

func lockName(fsys fsatomic.FS, name string) (io.Closer, error) {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	file, ok := f.(*os.File)
	if !ok {
		return f, nil // a file system in memory has no other processes
	}
	if err := lockFile(file); err != nil {
		if errors.Is(err, ErrBusy) {
			err = fmt.Errorf("%w, or upload to the server that is running here: it holds %s", err, file.Name())
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// FileClaims are Claims for the processes of one machine: the first that works
// on an upload works on all of them until it ends.
type FileClaims struct {
	fsys fsatomic.FS
	name string

	mu   sync.Mutex
	lock io.Closer // nil until the first upload
}

// NewFileClaims returns claims that lock a file.
func NewFileClaims(fsys fsatomic.FS, name string) *FileClaims {
	return &FileClaims{fsys: fsys, name: name}
}

// Claim implements Claims.
func (c *FileClaims) Claim(context.Context, manifest.Digest) (release func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		if c.lock, err = lockName(c.fsys, c.name); err != nil {
			return nil, err
		}
	}
	return func() {}, nil
}

// Close gives up the lock.
func (c *FileClaims) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return nil
	}
	err := c.lock.Close()
	c.lock = nil
	return err
}
