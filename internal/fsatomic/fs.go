package fsatomic

import (
	"io"
	"io/fs"
)

// FS is the file system as this package sees it, so that everything built on it
// can be tested with failures and power cuts. [OS] is the real one.
//
// Methods behave like the functions of package os with the same name. Nothing they
// do is durable by itself: what a directory holds survives a power cut for sure
// only after SyncDir of it, what a file holds only after its File.Sync; until then
// each change may survive or not, whatever happened to earlier ones.
type FS interface {
	// OpenFile opens or creates a file. The name of a new file is durable after
	// SyncDir of its directory, its content after File.Sync: it takes both.
	// With O_CREATE and O_EXCL the owner's bits of perm are set whatever the umask;
	// the umask may still take bits from group and others, never give any.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// ReadFile returns the content now visible, which may not be durable yet.
	ReadFile(name string) ([]byte, error)
	// ReadDir returns the entries now visible, sorted by name; they may not be durable yet.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes the file now visible, following symbolic links.
	Stat(name string) (fs.FileInfo, error)
	// Mkdir is durable after SyncDir of the parent of name.
	Mkdir(name string, perm fs.FileMode) error
	// Rename atomically replaces newname: a power cut leaves it as it was before or after,
	// never without a file. Durable after SyncDir of the directories of both names.
	Rename(oldname, newname string) error
	// Link gives a file a second name and fails with fs.ErrExist if newname exists.
	// Durable after SyncDir of the directory of newname.
	Link(oldname, newname string) error
	// Remove is durable after SyncDir of the directory of name; until then the file may return.
	Remove(name string) error
	// Symlink fails with fs.ErrExist if name exists. Link and target text are durable
	// together, after SyncDir of the directory of name.
	Symlink(target, name string) error
	// Readlink returns the target text now visible.
	Readlink(name string) (string, error)
	// SyncDir makes the entries of the directory durable, not the content of its files. It does
	// nothing and returns nil where the system can not sync directories.
	SyncDir(name string) error
}

// File is an open file. [os.File] is one.
type File interface {
	io.Reader
	io.Writer
	io.ReaderAt
	io.WriterAt
	io.Seeker
	io.Closer
	// Sync makes content and length durable. After an error nothing is known about
	// what was written, and a second Sync may lie: write again from the start.
	Sync() error
	// Truncate changes the length; durable after Sync.
	Truncate(size int64) error
	Name() string
	Stat() (fs.FileInfo, error)
}
