//go:build !unix

package fsatomic

import (
	"io/fs"
	"os"
)

// grantOwner has nothing to do where there is no umask.
func grantOwner(*os.File, fs.FileMode) error { return nil }

// syncDir can not sync, but reports a missing directory as it does elsewhere.
func syncDir(name string) error {
	_, err := os.Stat(name)
	return err
}
