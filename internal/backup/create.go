package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
)

// Options say how a backup is made.
type Options struct {
	Secrets    string // SecretsEncrypted, SecretsPlain or SecretsNone
	Passphrase []byte // for SecretsEncrypted
	Program    string // version of this program
	Now        time.Time
	// Free returns how many bytes can still be written below a directory. Nil:
	// blob.DiskFree.
	Free func(dir string) (int64, error)
	// Progress, if not nil, is called with bytes of images copied and in all.
	Progress func(done, total int64)
}

// Create copies the data directory of an open repository, which may be served
// meanwhile. On an error what is in the sink is no backup.
func Create(ctx context.Context, repo *repository.Repository, to Sink, o Options) (Manifest, error) {
	m, err := create(ctx, repo, to, o)
	if err != nil {
		return Manifest{}, fmt.Errorf("back up %s: %w", repo.Dir(), err)
	}
	return m, nil
}

// An image is what the copied database names.
type image struct {
	digest manifest.Digest
	size   int64
}

func create(ctx context.Context, repo *repository.Repository, to Sink, o Options) (m Manifest, err error) {
	m = Manifest{Format: Format, Created: o.Now.UTC().Truncate(time.Second), Program: o.Program, Secrets: o.Secrets}
	if err := o.room(repo.Dir()); err != nil {
		return m, err
	}
	copied, err := fsatomic.TempName(filepath.Join(repo.Dir(), databaseName))
	if err != nil {
		return m, err
	}
	if err := repo.Store().Snapshot(ctx, copied); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, fsatomic.OS().Remove(copied)) }()
	images, err := m.look(ctx, copied)
	if err != nil {
		return m, err
	}
	if m.Database, err = putHashed(to, databaseName, copied); err != nil {
		return m, err
	}
	if err := m.putImages(ctx, repo, to, images, o.Progress); err != nil {
		return m, err
	}
	if err := m.putSecrets(filepath.Join(repo.Dir(), repository.SecretsName), to, o); err != nil {
		return m, err
	}
	raw, err := m.encode()
	if err != nil {
		return m, err
	}
	return m, put(to, manifestName, raw)
}

// spare is how much of the disk the copy of the database leaves to the server
// that writes meanwhile, in bytes.
const spare = 16 << 20

// room refuses (repository.ErrFull) where the copy of the database would fill
// the disk of the server: what is copied first stands beside the database until
// it is in the backup.
func (o Options) room(dir string) error {
	var size int64
	for _, name := range []string{databaseName, databaseName + "-wal"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil {
			size += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if o.Free == nil {
		o.Free = blob.DiskFree
	}
	free, err := o.Free(dir)
	if err != nil {
		return fmt.Errorf("ask for free disk space: %w", err)
	}
	if free < size+spare {
		return fmt.Errorf("%w: a copy of the database takes up to %d bytes of the server's disk for a while, %d are free, and %d stay free", repository.ErrFull, size, free, spare)
	}
	return nil
}

// look notes what is in the copy of the database, and returns the images that
// it names.
func (m *Manifest) look(ctx context.Context, copied string) (images []image, err error) {
	db, err := store.Open(ctx, copied)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(ctx, func(tx *store.Tx) error {
		var head audit.Record
		if head, err = tx.AuditHead(); err != nil {
			return err
		}
		m.AuditRecord, m.AuditHash = head.Seq, head.Hash
		return tx.Each(`SELECT digest, size FROM blobs ORDER BY digest`, nil, func(scan func(...any) error) error {
			var digest []byte
			var i image
			if err := scan(&digest, &i.size); err != nil {
				return err
			}
			copy(i.digest[:], digest)
			images = append(images, i)
			m.Images++
			m.ImageBytes += i.size
			return nil
		})
	})
	return images, err
}

func putHashed(to Sink, name, file string) (digest manifest.Digest, err error) {
	size, write, err := copyFile(file)
	if err != nil {
		return digest, err
	}
	h := sha256.New()
	err = to.put(name, size, func(w io.Writer) error { return write(io.MultiWriter(w, h)) })
	return manifest.Digest(h.Sum(nil)), err
}

func (m *Manifest) putImages(ctx context.Context, repo *repository.Repository, to Sink, images []image, progress func(done, total int64)) error {
	done := int64(0)
	for _, i := range images {
		if err := putImage(ctx, repo, to, i); err != nil {
			return err
		}
		if done += i.size; progress != nil {
			progress(done, m.ImageBytes)
		}
	}
	return nil
}

// putImage copies an image and hashes it on the way: a backup of bytes that
// have rotted would be found out when it is too late.
func putImage(ctx context.Context, repo *repository.Repository, to Sink, i image) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, size, err := repo.Firmware(ctx, i.digest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	name := imagesName + i.digest.String()
	if size != i.size {
		return fmt.Errorf("image %s: %w: it has %d bytes, not %d", i.digest, repository.ErrDamaged, size, i.size)
	}
	if file, ok := f.(*os.File); ok && to.link(name, file.Name()) {
		return nil
	}
	h := sha256.New()
	err = to.put(name, size, func(w io.Writer) error {
		if _, err := io.CopyN(io.MultiWriter(w, h), f, size); err != nil {
			return err
		}
		if !bytes.Equal(h.Sum(nil), i.digest[:]) {
			return fmt.Errorf("image %s: %w: it hashes to %x", i.digest, repository.ErrDamaged, h.Sum(nil))
		}
		return nil
	})
	return err
}

func put(to Sink, name string, raw []byte) error {
	return to.put(name, int64(len(raw)), func(w io.Writer) error { _, err := w.Write(raw); return err })
}

// secretFiles returns the files in a directory of secrets, by name. A secret that
// is mounted is a link to its file: leaving it out would be noticed when it is
// too late.
func secretFiles(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if !plainSecret(e.Name()) {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}
