// Package secret reads small secrets, such as passphrases and MAC keys: from
// files that nobody else can read, and from terminals that do not show them.
package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// ErrPermissions means that others than the owner can read the file.
var ErrPermissions = errors.New("the file can be read by others")

// ReadFile reads a file of at most max bytes. A regular file that group or
// others can read is refused (ErrPermissions); a pipe, as the shell makes for
// <(command), has no such bits, and neither has Windows.
func ReadFile(name string, max int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	mode := info.Mode()
	if runtime.GOOS != "windows" && mode.IsRegular() && mode.Perm()&0o077 != 0 {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: mode %04o, want 0600", ErrPermissions, mode.Perm())}
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("%s: more than %d bytes", name, max)
	}
	return data, nil
}
