package backup

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// A Sink is where a backup goes.
type Sink interface {
	// put writes a file of that many bytes, which write gives out.
	put(name string, size int64, write func(io.Writer) error) error
	// link gives a file of the same file system a second name, if that is
	// possible and wanted.
	link(name, file string) (done bool)
}

// A Dir is a backup in a directory.
type Dir struct {
	path string
	hard bool
	made []string // files and directories, in their order
}

// NewDir begins a backup in a directory, which must be empty or not there.
// With hard, images become hard links where that is possible: quick, and no
// protection against a disk that forgets.
func NewDir(name string, hard bool) (*Dir, error) {
	d := &Dir{path: name, hard: hard}
	if err := vacant(name); err != nil {
		return nil, err
	}
	if err := d.mkdir(name); err != nil {
		return nil, err
	}
	return d, nil
}

// vacant refuses (ErrOccupied) a name that holds something.
func vacant(name string) error {
	entries, err := fsatomic.OS().ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = ErrOccupied
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// mkdir makes a directory and those above it, and notes which were missing.
func (d *Dir) mkdir(name string) error {
	if _, err := fsatomic.OS().Stat(name); err == nil {
		return nil
	}
	if above := filepath.Dir(name); above != name {
		if err := d.mkdir(above); err != nil {
			return err
		}
	}
	if err := fsatomic.MkdirAll(fsatomic.OS(), name, 0o700); err != nil {
		return err
	}
	d.made = append(d.made, name)
	return nil
}

func (d *Dir) put(name string, _ int64, write func(io.Writer) error) error {
	file := filepath.Join(d.path, filepath.FromSlash(name))
	if err := d.mkdir(filepath.Dir(file)); err != nil {
		return err
	}
	pending, err := fsatomic.Create(fsatomic.OS(), file, 0o600)
	if err != nil {
		return err
	}
	defer pending.Abort()
	if err := write(pending); err != nil {
		return err
	}
	d.made = append(d.made, file)
	return pending.CommitNew()
}

func (d *Dir) link(name, file string) bool {
	if !d.hard {
		return false
	}
	to := filepath.Join(d.path, filepath.FromSlash(name))
	fsys := fsatomic.OS()
	if d.mkdir(filepath.Dir(to)) != nil || fsys.Link(file, to) != nil {
		return false
	}
	if fsys.SyncDir(filepath.Dir(to)) != nil { // a copy would not be safer, but says so
		fsys.Remove(to)
		return false
	}
	d.made = append(d.made, to)
	return true
}

// Discard removes what was written of a backup that failed.
func (d *Dir) Discard() error {
	var errs []error
	for i := len(d.made) - 1; i >= 0; i-- {
		if err := fsatomic.OS().Remove(d.made[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// A Tar is a backup in one stream.
type Tar struct {
	w   *tar.Writer
	now time.Time
}

// NewTar begins a backup in a stream. Close it.
func NewTar(w io.Writer, now time.Time) *Tar { return &Tar{tar.NewWriter(w), now} }

func (t *Tar) put(name string, size int64, write func(io.Writer) error) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path.Clean(name), Size: size, Mode: 0o600, ModTime: t.now.Truncate(time.Second), Format: tar.FormatPAX}
	if err := t.w.WriteHeader(header); err != nil {
		return err
	}
	return write(t.w)
}

func (t *Tar) link(string, string) bool { return false }

// Close writes the end of the stream.
func (t *Tar) Close() error { return t.w.Close() }

// copyFile returns what writes a file's content, and its size.
func copyFile(name string) (size int64, write func(io.Writer) error, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, nil, err
	}
	return info.Size(), func(w io.Writer) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyN(w, f, info.Size())
		return err
	}, nil
}
