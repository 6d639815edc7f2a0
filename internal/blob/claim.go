package blob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	f, err := d.fsys.OpenFile(filepath.Join(d.path, uploadsName, "lock"), os.O_RDWR|os.O_CREATE, filePerm)
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
