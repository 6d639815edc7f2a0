package crashfs

import (
	"io/fs"
	"os"
	"syscall"
)

// Mkdir implements [fsatomic.FS].
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	return f.add("mkdir", name, func() *node { return f.newNode(fs.ModeDir | perm.Perm()) })
}

// Symlink implements [fsatomic.FS].
func (f *FS) Symlink(target, name string) error {
	return f.add("symlink", name, func() *node {
		n := f.newNode(fs.ModeSymlink | 0o777)
		n.target = target
		return n
	})
}

// add gives a new node a name that must be free.
func (f *FS) add(op, name string, make func() *node) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.alive(op, name); err != nil {
		return err
	}
	at, err := f.lookup(name, false)
	if err == nil && at.node != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	n := make()
	return f.mutate(mutation{op: op, path: name, apply: func() { f.changeEntries(set{at.dir, at.base, n}) }})
}

// Remove implements [fsatomic.FS].
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.alive("remove", name); err != nil {
		return err
	}
	at, err := f.lookup(name, false)
	switch {
	case err != nil:
	case at.node == nil:
		err = syscall.ENOENT
	case at.dir == nil:
		err = syscall.EBUSY
	case len(at.node.entries) > 0:
		err = syscall.ENOTEMPTY
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return f.mutate(mutation{op: "remove", path: name, apply: func() { f.changeEntries(set{at.dir, at.base, nil}) }})
}

// Link implements [fsatomic.FS].
func (f *FS) Link(oldname, newname string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.alive("link", newname); err != nil {
		return err
	}
	from, to, err := f.lookupTwo(oldname, newname)
	switch {
	case err != nil:
	case from.node == nil:
		err = syscall.ENOENT
	case to.node != nil:
		err = syscall.EEXIST
	case from.node.mode.IsDir():
		err = syscall.EPERM
	}
	if err != nil {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: err}
	}
	apply := func() { f.changeEntries(set{to.dir, to.base, from.node}) }
	return f.mutate(mutation{op: "link", path: newname, apply: apply})
}

// Rename implements [fsatomic.FS].
func (f *FS) Rename(oldname, newname string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.alive("rename", newname); err != nil {
		return err
	}
	from, to, err := f.lookupTwo(oldname, newname)
	same := from.node != nil && from.node == to.node && oldname != newname
	if err == nil && !same {
		err = renameable(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	apply := func() { f.changeEntries(set{from.dir, from.base, nil}, set{to.dir, to.base, from.node}) }
	if from.node == to.node { // also if oldname is newname
		apply = func() {} // POSIX: of two names of one file, both stay
	}
	return f.mutate(mutation{op: "rename", path: newname, apply: apply})
}

// renameable refuses what os.Rename refuses; it replaces no directory, not even an empty one.
func renameable(from, to place) error {
	switch {
	case from.dir == nil, to.dir == nil:
		return syscall.EBUSY
	case from.node == nil:
		return syscall.ENOENT
	case to.node != nil && to.node.mode.IsDir():
		return syscall.EEXIST
	case contains(from.node, to.dir):
		return syscall.EINVAL
	case to.node != nil && from.node.mode.IsDir():
		return syscall.ENOTDIR
	}
	return nil
}

// contains reports whether dir is n or below it.
func contains(n, dir *node) bool {
	if n == dir {
		return true
	}
	for _, entry := range n.entries {
		if contains(entry, dir) {
			return true
		}
	}
	return false
}

// lookupTwo finds the places of two names, without following a symbolic link at their ends.
func (f *FS) lookupTwo(oldname, newname string) (from, to place, err error) {
	from, err = f.lookup(oldname, false)
	if err == nil {
		to, err = f.lookup(newname, false)
	}
	return from, to, err
}
