package fsatomic

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A Log is a new file that grows by records, each durable before the next: for
// what must not be lost while the rest is still to come, such as secrets that
// are shown once. A power cut may leave a part of the record that was being
// appended, at the end. It is not safe for concurrent use.
type Log struct {
	name string
	file File
	err  error // the first failure: what follows would stand behind a torn record
}

// CreateLog makes the file, which must not exist (fs.ErrExist), durably and with
// permissions perm.
func CreateLog(fsys FS, name string, perm fs.FileMode) (*Log, error) {
	file, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return nil, fmt.Errorf("create %s: %w", name, errors.Join(err, file.Close()))
	}
	return &Log{name: name, file: file}, nil
}

// Append writes a record. After nil it is durable; after an error nothing can
// be appended any more.
func (l *Log) Append(record []byte) error {
	if l.err == nil {
		var n int
		if n, l.err = l.file.Write(record); l.err == nil && n < len(record) {
			l.err = io.ErrShortWrite
		}
	}
	if l.err == nil {
		l.err = l.file.Sync()
	}
	if l.err != nil {
		return fmt.Errorf("append to %s: %w", l.name, l.err)
	}
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
