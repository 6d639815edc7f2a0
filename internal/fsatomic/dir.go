package fsatomic

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// MkdirAll makes the directory name and those above it that are missing, with permissions
// perm less the umask. After nil the path is durable: the parent of each new directory has been synced.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	if err := mkdirAll(fsys, filepath.Clean(name), perm); err != nil {
		return fmt.Errorf("make directory %s: %w", name, err)
	}
	return nil
}

func mkdirAll(fsys FS, dir string, perm fs.FileMode) error {
	err := checkDir(fsys, dir)
	if err == nil {
		return syncEntry(fsys, dir)
	}
	parent := filepath.Dir(dir)
	if !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err
	}
	if err := mkdirAll(fsys, parent, perm); err != nil {
		return err
	}
	if err := fsys.Mkdir(dir, perm); err != nil {
		// Another process may have been faster, which is as good.
		if !errors.Is(err, fs.ErrExist) || checkDir(fsys, dir) != nil {
			return err
		}
	}
	return fsys.SyncDir(parent)
}

// syncEntry makes the entry of a directory that exists durable. An attempt that failed, or another
// process, may have made it and not synced it. There can be only one such, the deepest: the next
// is made after the sync. If we may not open the parent, we can not have made an entry to sync in it.
func syncEntry(fsys FS, dir string) error {
	err := fsys.SyncDir(filepath.Dir(dir))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

func checkDir(fsys FS, name string) error {
	info, err := fsys.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	}
	return nil
}

// RemoveDurable removes the file, link or empty directory name, so that it does not return
// after a power cut. If name is not there, the error wraps [fs.ErrNotExist] and that is durable, too.
func RemoveDurable(fsys FS, name string) error {
	err := fsys.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		// A sync that fails says more than the absence: without it, name may be back.
		if syncErr := fsys.SyncDir(filepath.Dir(name)); syncErr != nil {
			err = syncErr
		}
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// RenameDurable renames as [FS.Rename] does, replacing newname, and makes it durable. After an error the
// rename may have happened or not. It does not sync the content of a file: that is for its writer.
func RenameDurable(fsys FS, oldname, newname string) error {
	err := fsys.Rename(oldname, newname)
	from, to := filepath.Dir(oldname), filepath.Dir(newname)
	if err == nil {
		err = fsys.SyncDir(to) // first, so that no moment has neither name durable
	}
	if err == nil && from != to {
		err = fsys.SyncDir(from)
	}
	if err != nil {
		return fmt.Errorf("rename %s to %s: %w", oldname, newname, err)
	}
	return nil
}
