package crashfs

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// FS is a file system in memory, safe for concurrent use. Names are separated by slashes and start
// at the root, with or without a leading slash. Times are numbers of operations, in seconds.
type FS struct {
	mu      sync.Mutex
	root    *node
	nodes   []*node   // all there ever were, so that a reboot visits them in a fixed order
	journal []*change // directory changes that are not durable, oldest first

	ops, reads       int
	crashed          bool
	crash            crash
	fault, readFault fault
}

var _ fsatomic.FS = (*FS)(nil)

// New returns a file system that holds nothing but its root.
func New() *FS {
	f := &FS{}
	f.root = f.newNode(fs.ModeDir | 0o755)
	return f
}

func (f *FS) newNode(mode fs.FileMode) *node {
	n := &node{mode: mode, mtime: time.Unix(int64(f.ops), 0).UTC()}
	if mode.IsDir() {
		n.entries, n.durable = map[string]*node{}, map[string]*node{}
	}
	f.nodes = append(f.nodes, n)
	return n
}

// OpenFile implements [fsatomic.FS]. perm is kept as it is: there is no umask.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (fsatomic.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.alive("open", name); err != nil {
		return nil, err
	}
	excl := flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL
	at, err := f.lookup(name, !excl)
	if err == nil {
		err = openable(at, flag, excl)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n := at.node
	switch {
	case n == nil:
		n, err = f.create(at, name, perm)
	case flag&os.O_TRUNC != 0:
		err = f.truncate(n, name, 0)
	default:
		err = f.read("open", name)
	}
	if err != nil {
		return nil, err
	}
	return &file{fs: f, node: n, name: name, flag: flag}, nil
}

func openable(at place, flag int, excl bool) error {
	switch writes := flag&(os.O_WRONLY|os.O_RDWR|os.O_TRUNC) != 0; {
	case at.node == nil && flag&os.O_CREATE == 0:
		return syscall.ENOENT
	case at.node != nil && excl:
		return syscall.EEXIST
	case at.node != nil && at.node.mode.IsDir() && (writes || flag&os.O_CREATE != 0):
		return syscall.EISDIR
	}
	return nil
}

func (f *FS) create(at place, name string, perm fs.FileMode) (*node, error) {
	n := f.newNode(perm.Perm())
	return n, f.mutate(mutation{op: "open", path: name, apply: func() { f.changeEntries(set{at.dir, at.base, n}) }})
}

func (f *FS) truncate(n *node, name string, size int) error {
	apply := func() { n.truncate(size) }
	return f.mutate(mutation{op: "truncate", path: name, apply: apply})
}

// ReadFile implements [fsatomic.FS].
func (f *FS) ReadFile(name string) ([]byte, error) {
	n, err := f.inspect("open", name, true)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR}
	}
	return append([]byte{}, n.data...), nil
}

// ReadDir implements [fsatomic.FS].
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.inspect("open", name, true)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdirent", Path: name, Err: syscall.ENOTDIR}
	}
	list := make([]fs.DirEntry, 0, len(n.entries))
	for base, entry := range n.entries {
		list = append(list, fs.FileInfoToDirEntry(entry.info(base)))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Stat implements [fsatomic.FS].
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	n, err := f.inspect("stat", name, true)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return n.info(baseOf(name)), nil
}

// Readlink implements [fsatomic.FS].
func (f *FS) Readlink(name string) (string, error) {
	n, err := f.inspect("readlink", name, false)
	if err != nil {
		return "", err
	}
	if n.mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: syscall.EINVAL}
	}
	return n.target, nil
}

// inspect counts a reading operation and finds the node it is about.
func (f *FS) inspect(op, name string, follow bool) (*node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(op, name); err != nil {
		return nil, err
	}
	at, err := f.lookup(name, follow)
	if err == nil && at.node == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return at.node, nil
}

// SyncDir implements [fsatomic.FS]. In the middle, the oldest few changes are durable.
func (f *FS) SyncDir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.alive("sync", name); err != nil {
		return err
	}
	at, err := f.lookup(name, true)
	switch {
	case err == nil && at.node == nil:
		err = syscall.ENOENT
	case err == nil && !at.node.mode.IsDir():
		err = syscall.ENOTDIR
	}
	if err != nil {
		return &fs.PathError{Op: "sync", Path: name, Err: err}
	}
	all := len(f.waitingFor(at.node))
	return f.mutate(mutation{op: "sync", path: name,
		apply: func() { f.syncChanges(at.node, all) },
		torn:  func(r *rand.Rand) { f.syncChanges(at.node, r.IntN(all+1)) },
	})
}
