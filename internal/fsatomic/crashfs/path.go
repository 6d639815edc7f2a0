package crashfs

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// place is where a name leads: a directory that exists, and what it holds under base, nil for nothing.
// The root has no directory.
type place struct {
	dir  *node
	base string
	node *node
}

// maxLinks is how many symbolic links a name may lead through.
const maxLinks = 40

// clean makes a name absolute. It resolves ".." in the text, which differs from POSIX after a symbolic link.
func clean(name string) string { return path.Join("/", filepath.ToSlash(name)) }

func baseOf(name string) string { return path.Base(clean(name)) }

// lookup finds a name. With follow, a symbolic link at its end is followed, too.
func (f *FS) lookup(name string, follow bool) (place, error) {
	if name == "" {
		return place{}, syscall.ENOENT
	}
	name = clean(name)
	for range maxLinks {
		at, link, err := f.walk(name, follow)
		if err != nil || link == "" {
			return at, err
		}
		name = link
	}
	return place{}, syscall.ELOOP
}

// walk finds a clean name, or the name that a symbolic link on the way turns it into.
func (f *FS) walk(name string, follow bool) (at place, link string, err error) {
	at = place{base: "/", node: f.root}
	rest := strings.TrimPrefix(name, "/")
	for done := "/"; rest != ""; {
		var base string
		base, rest, _ = strings.Cut(rest, "/")
		switch {
		case at.node == nil:
			return place{}, "", syscall.ENOENT
		case !at.node.mode.IsDir():
			return place{}, "", syscall.ENOTDIR
		}
		at = place{dir: at.node, base: base, node: at.node.entries[base]}
		if n := at.node; n != nil && n.mode&fs.ModeSymlink != 0 && (follow || rest != "") {
			target := filepath.ToSlash(n.target)
			if !path.IsAbs(target) {
				target = path.Join(done, target)
			}
			return place{}, path.Join(target, rest), nil
		}
		done = path.Join(done, base)
	}
	return at, "", nil
}

// info describes a node under a name.
func (n *node) info(base string) fs.FileInfo {
	size := int64(len(n.data))
	if n.mode&fs.ModeSymlink != 0 {
		size = int64(len(n.target))
	}
	return fileInfo{name: base, size: size, mode: n.mode, mtime: n.mtime}
}

type fileInfo struct {
	name  string
	size  int64
	mode  fs.FileMode
	mtime time.Time
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return i.mtime }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return nil }
