package env

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// maxPrivateKey is more than the longest file of a private key, in bytes.
const maxPrivateKey = 64 << 10

// ErrPrecious is the refusal to write over what may be the only one of its kind.
var ErrPrecious = fmt.Errorf("would be lost: %w", fs.ErrExist)

// sparePrivateKey refuses a file that holds a private key: a public key or a
// signature that takes its place would be the end of it.
func (e *Env) sparePrivateKey(name string) error {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || info.Size() > maxPrivateKey {
		return nil
	}
	old, err := e.ReadFile(name, maxPrivateKey)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	if bytes.Contains(old, []byte("PRIVATE KEY-----")) {
		return AboutFile(name, fmt.Errorf("write %s: the private key there %w", name, ErrPrecious))
	}
	return nil
}

// Spare refuses an output that is the command's own input.
func (e *Env) Spare(input, output string) error {
	from, err := os.Stat(input)
	if err != nil {
		return nil // opening it says so
	}
	if to, err := os.Stat(output); err == nil && os.SameFile(from, to) {
		return AboutFile(output, fmt.Errorf("write %s: the file that is read %w", output, ErrPrecious))
	}
	return nil
}

// TryOut finds out whether a file could be written there, before something is
// made that could not be told otherwise. Nothing is left of it.
func TryOut(name string) error {
	p, err := fsatomic.Create(fsatomic.OS(), name, 0o600)
	if err != nil {
		return err
	}
	return p.Abort()
}
