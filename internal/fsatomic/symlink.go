package fsatomic

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// ReplaceSymlink makes name a symbolic link to target, in place of the link that was there: one
// always resolves, to the old target or the new one, and after nil the new one is durable.
// What is not a symbolic link is not replaced. The target need not exist.
func ReplaceSymlink(fsys FS, target, name string) error {
	if err := replaceSymlink(fsys, target, name); err != nil {
		return fmt.Errorf("link %s to %s: %w", name, target, err)
	}
	return nil
}

func replaceSymlink(fsys FS, target, name string) error {
	temp, err := tempFor(name)
	if err != nil {
		return err
	}
	if _, err := fsys.Readlink(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fsys.Symlink(target, temp); err != nil {
		return err
	}
	if err := fsys.Rename(temp, name); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir(filepath.Dir(name))
}
