package store

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What can go wrong, for errors.Is. Where the operating system has a name for
// it, it is that name, so that a full disk is one error whoever hits it first.
var (
	ErrNotFound   = errors.New("not found")
	ErrConflict   = errors.New("conflicts with what is stored")
	ErrBusy       = errors.New("another process holds the database for too long")
	ErrDamaged    = errors.New("the database is damaged")
	ErrNewer      = errors.New("the database was written by a newer version of this program")
	ErrFull       = error(syscall.ENOSPC)
	ErrReadOnly   = error(syscall.EROFS)
	ErrPermission = fs.ErrPermission
)

// NoChange, returned by the function given to Change, says that there is
// nothing to do after all. The transaction and its audit record are undone and
// Change returns nil.
var NoChange = errors.New("no change")

// explain adds the sentinel that an error of SQLite stands for.
func explain(err error) error {
	var se *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case !errors.As(err, &se):
		return err
	}
	if sentinel := sentinelOf(se.Code()); sentinel != nil {
		return fmt.Errorf("%w (%w)", sentinel, err)
	}
	return err
}

// sentinelOf maps a result code of SQLite. The low byte is the kind of failure.
func sentinelOf(code int) error {
	if code == sqlite3.SQLITE_IOERR_SHMSIZE { // the file of the index in memory could not be grown
		return ErrFull
	}
	switch code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		return ErrConflict
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrBusy
	case sqlite3.SQLITE_FULL:
		return ErrFull
	case sqlite3.SQLITE_READONLY:
		return ErrReadOnly
	case sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN:
		return ErrPermission
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return ErrDamaged
	}
	return nil
}
