package fsatomic

import (
	"errors"
	"io/fs"
)

// WriteFile makes data the content of the file name, in place of what was there: see [Pending.Commit].
// A reader sees old or new, whole; after nil the new content is durable.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	return writeFile(fsys, name, data, perm, (*Pending).Commit)
}

// CreateFile is WriteFile for a name that must be new: see [Pending.CommitNew]. If name exists, the
// error wraps [fs.ErrExist] and nothing is changed, however many race for it.
func CreateFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	return writeFile(fsys, name, data, perm, (*Pending).CommitNew)
}

func writeFile(fsys FS, name string, data []byte, perm fs.FileMode, commit func(*Pending) error) error {
	p, err := Create(fsys, name, perm)
	if err != nil {
		return err
	}
	if _, err := p.Write(data); err != nil {
		return errors.Join(err, p.Abort())
	}
	return commit(p)
}
