package blob

import (
	"errors"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
)

// A Kind says what a file in the directory is.
type Kind int

// The kinds of file.
const (
	KindForeign  Kind = iota // nothing that this package makes
	KindBlob                 // a blob at its place
	KindUpload               // a part or state file of an upload
	KindLeftover             // a temporary file: of a running Put, or of one that died
)

// An Item is one file in the directory, as its name makes it look.
type Item struct {
	Kind    Kind
	Name    string          // with the path of the directory
	Digest  manifest.Digest // of blobs and uploads
	Size    int64           // bytes
	ModTime time.Time
}

// Items yields every file and every unexpected directory, in no order.
func (d *Dir) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, dir := range []string{d.path, filepath.Join(d.path, blobsName), filepath.Join(d.path, uploadsName)} {
			if !d.list(dir, yield) {
				return
			}
		}
	}
}

// list yields what is in one directory and reports whether to go on.
func (d *Dir) list(dir string, yield func(Item, error) bool) bool {
	entries, err := d.fsys.ReadDir(dir)
	if err != nil {
		return yield(Item{}, err)
	}
	for _, e := range entries {
		if dir == d.path && e.IsDir() && (e.Name() == blobsName || e.Name() == uploadsName) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since; a running Put has finished
		}
		if err != nil {
			return yield(Item{}, err)
		}
		item := d.identify(filepath.Join(dir, e.Name()), info)
		if item.Name != "" && !yield(item, nil) {
			return false
		}
	}
	return true
}

// identify says what a file is. Its result has no name for the lock, which is
// nobody's business.
func (d *Dir) identify(name string, info fs.FileInfo) Item {
	item := Item{Name: name, Size: info.Size(), ModTime: info.ModTime()}
	base, uploads := filepath.Base(name), filepath.Join(d.path, uploadsName)
	switch {
	case !info.Mode().IsRegular():
	case name == filepath.Join(uploads, "lock"):
		return Item{}
	case fsatomic.Leftover(base):
		item.Kind = KindLeftover
	case filepath.Dir(name) == uploads:
		hex := strings.TrimSuffix(strings.TrimSuffix(base, partSuffix), stateSuffix)
		if digest, err := manifest.ParseDigest(hex); err == nil && hex != base {
			item.Kind, item.Digest = KindUpload, digest
		}
	default:
		if digest, err := manifest.ParseDigest(base); err == nil && d.Name(digest) == name {
			item.Kind, item.Digest = KindBlob, digest
		}
	}
	return item
}

// Expire discards uploads and temporary files that nobody has touched since,
// and returns how many files that were.
func (d *Dir) Expire(since time.Time) (removed int, err error) {
	for item, err := range d.Items() {
		if err != nil {
			return removed, err
		}
		if !item.ModTime.Before(since) {
			continue
		}
		switch item.Kind {
		case KindLeftover:
			err = d.fsys.Remove(item.Name)
		case KindUpload:
			err = d.expireUpload(item.Digest, since)
		default:
			continue
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrBusy) {
			continue
		}
		if err != nil {
			return removed, wrap("expire", item.Digest, err)
		}
		removed++
	}
	return removed, nil
}

// expireUpload discards an upload if neither of its files was touched since.
func (d *Dir) expireUpload(digest manifest.Digest, since time.Time) error {
	return d.exclusively(digest, func() error {
		for _, name := range []string{d.partName(digest), d.stateName(digest)} {
			info, err := d.fsys.Stat(name)
			if err == nil && !info.ModTime().Before(since) {
				return ErrBusy
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return d.discard(digest)
	})
}
