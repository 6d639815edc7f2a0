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
	"strings"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// RestoreOptions say how a backup becomes a data directory.
type RestoreOptions struct {
	Passphrase func() ([]byte, error) // asked for if the secrets are encrypted
	By         auth.Actor             // for the audit log
	KeepTokens bool                   // tokens and unused enrolment codes stay good; see Settle
	// AuditKey reads the key of the audit log from a data directory; zero if
	// there is none. Nil: checkpoints are not verified.
	AuditKey func(dir string) (trust.PublicKey, error)
}

// Restored is what came of a restore.
type Restored struct {
	Backup  Manifest          `json:"backup"`
	Report  repository.Report `json:"report"`
	Settled Settled           `json:"settled"`
}

// Restore makes a data directory from a backup. The directory must be empty or
// not there; it appears when everything in it has been checked, or not at all.
func Restore(ctx context.Context, from Source, dir string, o RestoreOptions) (Restored, error) {
	r, err := restore(ctx, from, behindLinks(dir), o)
	if err != nil {
		return r, fmt.Errorf("restore %s: %w", dir, err)
	}
	return r, nil
}

// behindLinks returns the directory that a name leads to: renaming to a link
// would replace the link, and leave what it leads to empty.
func behindLinks(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return filepath.Clean(dir)
}

func restore(ctx context.Context, from Source, dir string, o RestoreOptions) (r Restored, err error) {
	if err := vacant(dir); err != nil {
		return r, err
	}
	fsys := fsatomic.OS()
	if err := fsatomic.MkdirAll(fsys, filepath.Dir(dir), 0o700); err != nil {
		return r, err
	}
	staging, err := fsatomic.TempName(dir)
	if err != nil {
		return r, err
	}
	if err := fsys.Mkdir(staging, 0o700); err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(staging))
		}
	}()
	if r.Backup, err = unpack(ctx, from, staging, o); err != nil {
		return r, err
	}
	if err := r.check(ctx, staging, o); err != nil {
		return r, err
	}
	// An empty directory may stand there; not every system renames over one.
	if err := fsys.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	return r, fsatomic.RenameDurable(fsys, staging, dir)
}

// check looks whether what was unpacked is sound, and settles it.
func (r *Restored) check(ctx context.Context, dir string, o RestoreOptions) (err error) {
	cfg := repository.Config{Dir: dir}
	if o.AuditKey != nil {
		if cfg.AuditKey, err = o.AuditKey(dir); err != nil {
			return err
		}
	}
	repo, err := repository.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	if r.Report, err = repo.Fsck(ctx); err != nil {
		return err
	}
	if !r.Report.Sound() {
		return fmt.Errorf("%w: %d problems, the first: %s", ErrUnsound, len(r.Report.Problems), r.Report.Problems[0])
	}
	r.Settled, err = Settle(ctx, repo.Store(), o.By, r.Backup, o.KeepTokens)
	return err
}

// unpack writes the files of a backup into a directory, and checks that they
// are what backup.json says.
func unpack(ctx context.Context, from Source, dir string, o RestoreOptions) (m Manifest, err error) {
	var raw []byte
	seen := map[string]manifest.Digest{}
	err = from.each(func(name string, r io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, ok := seen[name]; ok {
			return fmt.Errorf("%w: %s stands in it twice", ErrDamaged, name)
		}
		h := sha256.New()
		r = io.TeeReader(r, h)
		switch name {
		case manifestName:
			raw, err = io.ReadAll(io.LimitReader(r, maxManifest))
		case encryptedName:
			err = unseal(r, dir, o)
		default:
			err = write(dir, name, r)
		}
		seen[name] = manifest.Digest(h.Sum(nil))
		return err
	})
	if err != nil {
		return m, err
	}
	if m, err = decodeManifest(raw); err != nil {
		return m, err
	}
	return m, m.hold(seen)
}

// hold holds the digests of the files that were read against backup.json. The
// images have theirs in their names, and fsck reads them.
func (m Manifest) hold(seen map[string]manifest.Digest) error {
	if m.Secrets == SecretsEncrypted && seen[encryptedName].IsZero() {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, encryptedName)
	}
	wanted := map[string]manifest.Digest{databaseName: m.Database}
	for name, digest := range m.SecretFiles {
		wanted[secretsName+name] = digest
	}
	for name, want := range wanted {
		if got := seen[name]; got != want {
			return fmt.Errorf("%w: %s hashes to %s, not to %s", ErrDamaged, name, got, want)
		}
	}
	for name := range seen {
		if _, ok := wanted[name]; !ok && strings.HasPrefix(name, secretsName) {
			return fmt.Errorf("%w: it says nothing of %s", ErrDamaged, name)
		}
	}
	return nil
}

func unseal(r io.Reader, dir string, o RestoreOptions) error {
	var passphrase []byte
	if o.Passphrase != nil {
		var err error
		if passphrase, err = o.Passphrase(); err != nil {
			return err
		}
	}
	sealed, err := io.ReadAll(io.LimitReader(r, 2*maxSecrets))
	if err != nil {
		return err
	}
	return open(bytes.NewReader(sealed), passphrase, func(name string, r io.Reader) error {
		if !strings.HasPrefix(name, secretsName) || place(name) != nil {
			return fmt.Errorf("%w: %s holds %.80q", ErrDamaged, encryptedName, name)
		}
		return write(dir, name, r)
	})
}

// write writes one file of a backup, whose name was checked.
func write(dir, name string, r io.Reader) error {
	fsys, file := fsatomic.OS(), filepath.Join(dir, filepath.FromSlash(name))
	if err := fsatomic.MkdirAll(fsys, filepath.Dir(file), 0o700); err != nil {
		return err
	}
	pending, err := fsatomic.Create(fsys, file, 0o600)
	if err != nil {
		return err
	}
	defer pending.Abort()
	if _, err := io.Copy(pending, r); err != nil {
		return err
	}
	return pending.CommitNew()
}
