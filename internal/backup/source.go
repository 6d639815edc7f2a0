package backup

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Source is where a backup is read from. It calls file for every file of the
// backup, whose name place accepts.
type Source interface {
	each(file func(name string, r io.Reader) error) error
}

// FromDir is a backup in a directory.
type FromDir string

func (d FromDir) each(file func(name string, r io.Reader) error) error {
	if _, err := os.Stat(filepath.Join(string(d), manifestName)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: it has no %s", string(d), ErrIncomplete, manifestName)
	}
	return filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		relative, err := filepath.Rel(string(d), path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		if err := place(name); err != nil {
			return err
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%w: %s is no regular file", ErrDamaged, path)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return file(name, f)
	})
}

// FromTar is a backup in a stream.
type FromTar struct{ Reader io.Reader }

func (t FromTar) each(file func(name string, r io.Reader) error) error {
	files, whole := tar.NewReader(t.Reader), false
	for {
		header, err := files.Next()
		switch {
		case err == io.EOF && !whole:
			return fmt.Errorf("%w: it has no %s", ErrIncomplete, manifestName)
		case err == io.EOF:
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%w: it is cut short", ErrIncomplete)
		case err != nil:
			return fmt.Errorf("%w: %v", ErrDamaged, err)
		}
		if err := place(header.Name); err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg || sparse(header) {
			return fmt.Errorf("%w: %s is no regular file", ErrDamaged, header.Name)
		}
		whole = whole || header.Name == manifestName
		if err := file(header.Name, files); errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: it is cut short in %s", ErrIncomplete, header.Name)
		} else if err != nil {
			return err
		}
	}
}

// sparse reports whether a file stands in a tar with holes, of which a few bytes
// make any number. A backup has none.
func sparse(header *tar.Header) bool {
	for name := range header.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return true
		}
	}
	return false
}
