package fsatomic

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Pending is a file being written that has no name yet; Commit or CommitNew gives it
// one, whole and durable, and Abort discards it. It is not safe for concurrent use.
type Pending struct {
	fsys FS
	name string
	temp string
	perm fs.FileMode
	file File  // nil once closed
	err  error // the first failed Write: what was written since is not the caller's data
	done bool  // temp is gone, under its final name or removed
}

// Create begins a file that is to appear under name with permissions perm (see
// [FS.OpenFile] for the umask). Defer Abort; it does nothing after a commit.
func Create(fsys FS, name string, perm fs.FileMode) (*Pending, error) {
	temp, err := tempFor(name)
	if err != nil {
		return nil, fmt.Errorf("write %q: %w", name, err)
	}
	file, err := fsys.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return &Pending{fsys: fsys, name: name, temp: temp, perm: perm, file: file}, nil
}

// Write appends data. After an error the file can no longer be committed.
func (p *Pending) Write(data []byte) (int, error) {
	if p.file == nil {
		return 0, fmt.Errorf("write %s: %w", p.name, fs.ErrClosed)
	}
	n, err := p.file.Write(data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err == nil {
		return n, nil
	}
	if p.err == nil {
		p.err = err
	}
	return n, fmt.Errorf("write %s: %w", p.name, err)
}

// Commit makes the file appear under its name in place of what was there, durably. A name
// that holds something else than a file, such as /dev/null, is refused; a symbolic link
// is replaced, not followed. After an error the name holds the old file or the new one, whole.
func (p *Pending) Commit() error { return p.commit("write", p.replace) }

// CommitNew makes the file appear under its name, durably, and returns an error wrapping
// [fs.ErrExist] if the name is taken, without changing what is there. Then at least the
// name of what is there is durable; its content is, if this package wrote it.
// After another error the name holds the new file, whole, or what it held before.
//
// Where the file system has no hard links (FAT), the name is first taken with an empty
// file: there, a power cut at that moment leaves the empty file.
func (p *Pending) CommitNew() error { return p.commit("create", p.publish) }

// Abort removes the file, unless it was committed or aborted before. An error means
// that the temporary file may still be there; see [Leftover].
func (p *Pending) Abort() error {
	if p.file != nil {
		p.file.Close() // its content no longer matters
		p.file = nil
	}
	if p.done {
		return nil
	}
	p.done = true
	if err := p.fsys.Remove(p.temp); err != nil {
		return fmt.Errorf("discard unfinished %s: %w", p.name, err)
	}
	return nil
}

func (p *Pending) commit(verb string, appear func() error) error {
	if p.file == nil {
		return fmt.Errorf("%s %s: %w", verb, p.name, fs.ErrClosed)
	}
	err := p.err
	if err == nil {
		err = p.seal()
	}
	if err == nil {
		err = appear()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, p.name, errors.Join(err, p.Abort()))
	}
	return nil
}

// seal makes the content durable, before the name can refer to it. A failed sync is
// not repeated: the system may have dropped the data and forgotten the failure.
func (p *Pending) seal() error {
	file := p.file
	p.file = nil
	return errors.Join(file.Sync(), file.Close())
}

func (p *Pending) replace() error {
	if err := replaceable(p.fsys, p.name); err != nil {
		return err
	}
	return p.moveIn()
}

// replaceable refuses to turn a device, a pipe or a directory into a file: root can, and
// would not have meant it.
func replaceable(fsys FS, name string) error {
	switch info, err := fsys.Stat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("it exists and is not a regular file but %s: %w", info.Mode(), fs.ErrInvalid)
	}
	return nil
}

// publish links, because a link, unlike a rename, never replaces.
func (p *Pending) publish() error {
	switch err := p.fsys.Link(p.temp, p.name); {
	case errors.Is(err, fs.ErrExist):
		return p.taken()
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return p.reserve()
	case err != nil:
		return err
	}
	removed := p.fsys.Remove(p.temp)
	p.done = removed == nil
	// A temporary that stays is an error, even though the file is in place: it may be a second copy of a key.
	return errors.Join(removed, p.syncDir())
}

// reserve publishes without a hard link.
func (p *Pending) reserve() error {
	file, err := p.fsys.OpenFile(p.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, p.perm)
	if errors.Is(err, fs.ErrExist) {
		return p.taken()
	}
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return errors.Join(err, p.fsys.Remove(p.name))
	}
	err = p.moveIn()
	if err != nil && !p.done {
		return errors.Join(err, p.fsys.Remove(p.name))
	}
	return err
}

// taken reports fs.ErrExist, once the name of what exists is durable: its writer may be
// between making the name and syncing it, and our caller may go on to rely on it.
func (p *Pending) taken() error {
	if err := p.syncDir(); err != nil {
		return err
	}
	return fs.ErrExist
}

func (p *Pending) moveIn() error {
	if err := p.fsys.Rename(p.temp, p.name); err != nil {
		return err
	}
	p.done = true
	return p.syncDir()
}

func (p *Pending) syncDir() error { return p.fsys.SyncDir(filepath.Dir(p.name)) }
