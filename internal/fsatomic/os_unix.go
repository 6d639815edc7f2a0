//go:build unix

package fsatomic

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// grantOwner gives the owner of a new file the bits of perm that the umask took. Group and
// others keep what it left them: it may be an administrator's wish to keep them out.
func grantOwner(f *os.File, perm fs.FileMode) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	want := info.Mode().Perm() | perm&0o700
	if want == info.Mode().Perm() {
		return nil
	}
	return f.Chmod(want)
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	// Some network, FUSE and read-only file systems do not know fsync of a directory and
	// say so with these; they promise nothing, and there is nothing else to ask of them.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
