package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// Limits of one process on SQLite, modest on purpose: a gateway may be the
// server. The file is not mapped into memory: who reads a large fleet once would
// go on holding a part of it for each connection.
const (
	writerCacheKiB = 4 << 10
	readerCacheKiB = 1 << 10 // per connection
)

// sqliteEngine is SQLite in one file, shared by the processes of one machine.
type sqliteEngine struct{ path string }

func (e *sqliteEngine) connect(context.Context) (read, write *sql.DB, err error) {
	// SQLite would make a file that others can read, and gives its -wal and
	// -shm files the permissions of the main file.
	if err := fsatomic.CreateFile(fsatomic.OS(), e.path, nil, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, nil, err
	}
	if write, err = e.pool(1, "journal_mode(WAL)"); err != nil {
		return nil, nil, err
	}
	if read, err = e.pool(maxReaders, "query_only(1)"); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	return read, write, nil
}

func (e *sqliteEngine) close() error { return nil }

// pool prepares a pool. SQLite opens connections when they are needed.
func (e *sqliteEngine) pool(conns int, pragma string) (*sql.DB, error) {
	abs, err := filepath.Abs(e.path)
	if err != nil {
		return nil, err
	}
	abs = filepath.ToSlash(abs)
	if abs[0] != '/' { // a drive letter
		abs = "/" + abs
	}
	query := url.Values{
		"mode":    {"rw"},
		"_txlock": {"deferred"},
		"_dqs":    {"0"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", Patience.Milliseconds()),
			pragma,
			"synchronous(FULL)", // in WAL mode NORMAL would lose acknowledged commits
			"foreign_keys(1)",
			"trusted_schema(0)",
		},
	}
	cacheKiB := readerCacheKiB
	if conns == 1 {
		cacheKiB = writerCacheKiB
		query.Set("_txlock", "immediate") // of migrations, see beginWriting
	}
	query.Add("_pragma", fmt.Sprintf("cache_size(-%d)", cacheKiB))
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func (e *sqliteEngine) provider(db *sql.DB, migrations fs.FS) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectSQLite3, db, migrations, goose.WithDisableGlobalRegistry(true))
}

func (e *sqliteEngine) viewing() string { return `BEGIN` }

// beginWriting begins an immediate transaction: a deferred one that reads and
// then writes fails at once when another process wrote in between; this one
// waits its turn. SQLite itself, the longer it waits, looks at the lock the more
// rarely, and between writers that never rest might never find it free: so it is
// made to begin anew.
func (e *sqliteEngine) beginWriting(ctx context.Context, s *session, patience time.Duration) error {
	for end := time.Now().Add(patience); ; {
		err := s.begin(ctx, `PRAGMA busy_timeout = 50; BEGIN IMMEDIATE`)
		if e.sentinel(err) != ErrBusy || time.Now().After(end) {
			return err
		}
	}
}

func (e *sqliteEngine) hangs() bool { return false }

func (e *sqliteEngine) lost(*sql.Conn) bool { return false }

func (e *sqliteEngine) sentinel(err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return nil
	}
	// The low byte of a result code is the kind of failure.
	switch code := se.Code(); code & 0xff {
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
	case sqlite3.SQLITE_IOERR:
		if code == sqlite3.SQLITE_IOERR_SHMSIZE { // the file of the index in memory could not be grown
			return ErrFull
		}
	}
	return nil
}

// sqlitePrograms names what would run by itself in a database, or stands for
// something that it is not. The migrations make none: somebody else put it there,
// to have it run when a change is made.
const sqlitePrograms = `SELECT type || ' ' || name || ' does not belong there' FROM sqlite_master
	WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%' ORDER BY 1`

// check asks SQLite whether every page, index, constraint and reference is
// sound, and whether there is anything in it that runs.
func (e *sqliteEngine) check(tx *Tx) (problems []string, err error) {
	err = tx.Each(`PRAGMA integrity_check`, nil, func(scan func(...any) error) error {
		var text string
		err := scan(&text)
		if err == nil && text != "ok" {
			problems = append(problems, text)
		}
		return err
	})
	if err != nil {
		return problems, err
	}
	programs, err := names(tx, sqlitePrograms)
	if err != nil {
		return problems, err
	}
	problems = append(problems, programs...)
	err = tx.Each(`SELECT "table", COUNT(*) FROM pragma_foreign_key_check GROUP BY "table"`, nil, func(scan func(...any) error) error {
		var table string
		var count int
		err := scan(&table, &count)
		if err == nil {
			problems = append(problems, fmt.Sprintf("%d rows of %s refer to something that is not there", count, table))
		}
		return err
	})
	return problems, err
}

func (e *sqliteEngine) tableNames() string {
	return `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`
}

func (e *sqliteEngine) tableQueries(table string) (columns, key, references string) {
	return fmt.Sprintf(`SELECT name FROM pragma_table_info('%s') ORDER BY cid`, table),
		fmt.Sprintf(`SELECT name FROM pragma_table_info('%s') WHERE pk > 0 ORDER BY pk`, table),
		fmt.Sprintf(`SELECT "table" FROM pragma_foreign_key_list('%s')`, table)
}
