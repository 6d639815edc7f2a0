package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// What can go wrong, for errors.Is. Where the operating system has a name for
// it, it is that name, so that a full disk is one error whoever hits it first.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflicts with what is stored")
	ErrBusy        = errors.New("another process holds the database for too long")
	ErrUnavailable = errors.New("the database cannot be reached")
	ErrDamaged     = errors.New("the database is damaged")
	ErrNewer       = errors.New("the database was written by a newer version of this program")
	ErrText        = errors.New("text is not UTF-8, or holds a NUL")
	ErrFull        = error(syscall.ENOSPC)
	ErrReadOnly    = error(syscall.EROFS)
	ErrPermission  = fs.ErrPermission
)

// NoChange, returned by the function given to Change, says that there is
// nothing to do after all. The transaction and its audit record are undone and
// Change returns nil.
var NoChange = errors.New("no change")

// explain adds the sentinel that an error of the driver stands for.
func explain(e engine, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	}
	if sentinel := e.sentinel(err); sentinel != nil && !errors.Is(err, sentinel) {
		return fmt.Errorf("%w (%w)", sentinel, err)
	}
	return err
}

// explainIn is explain for a statement that ran in ctx, whose end may be what
// the driver's error is about.
func explainIn(ctx context.Context, e engine, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrUnavailable) {
		return cause
	}
	return explain(e, err)
}
