package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/secure-ota/secure-ota/manifest"
)

// workFactor is log2 of scrypt's N for the passphrase of a backup: 64 MiB and
// some tenths of a second for each guess.
const workFactor = 16

// maxSecrets bounds all secrets together, in bytes.
const maxSecrets = 16 << 20

// putSecrets writes the secrets in the way that o says.
func (m *Manifest) putSecrets(dir string, to Sink, o Options) error {
	if o.Secrets == SecretsNone {
		return nil
	}
	names, err := secretFiles(dir)
	if err != nil {
		return fmt.Errorf("read secrets: %w", err)
	}
	switch o.Secrets {
	case SecretsPlain:
		m.SecretFiles = map[string]manifest.Digest{}
		for _, name := range names {
			if m.SecretFiles[name], err = putHashed(to, secretsName+name, filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("copy secrets: %w", err)
			}
		}
		return nil
	case SecretsEncrypted:
		raw, err := seal(dir, names, o.Passphrase, o.Now)
		if err != nil {
			return fmt.Errorf("encrypt secrets: %w", err)
		}
		return put(to, encryptedName, raw)
	}
	return fmt.Errorf("secrets %q: want %s, %s or %s", o.Secrets, SecretsEncrypted, SecretsPlain, SecretsNone)
}

// seal returns the files in a tar, encrypted.
func seal(dir string, names []string, passphrase []byte, now time.Time) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(workFactor)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return nil, err
	}
	files := NewTar(w, now)
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := put(files, secretsName+name, raw); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(files.Close(), w.Close()); err != nil {
		return nil, err
	}
	if sealed.Len() > maxSecrets {
		return nil, fmt.Errorf("%d bytes of secrets are more than a restore reads", sealed.Len())
	}
	return sealed.Bytes(), nil
}

// open calls file for each file of sealed secrets.
func open(sealed io.Reader, passphrase []byte, file func(name string, r io.Reader) error) error {
	if len(passphrase) == 0 {
		return ErrNeedsOne
	}
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return err
	}
	identity.SetMaxWorkFactor(workFactor + 2) // who wrote the file must not choose how long this takes
	plain, err := age.Decrypt(sealed, identity)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return ErrPassphrase
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %v", ErrDamaged, encryptedName, err)
	}
	files := tar.NewReader(io.LimitReader(plain, maxSecrets))
	for {
		header, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %v", ErrDamaged, encryptedName, err)
		}
		if err := file(header.Name, files); err != nil {
			return err
		}
	}
}
