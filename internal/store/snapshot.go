package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// ErrNoFile is wrapped by the refusal to copy a database that is no file.
var ErrNoFile = errors.New("the database is no file of this machine")

// Snapshot writes the database as it is at one moment to a new file of SQLite,
// durably and readable by its owner only. Readers and writers go on meanwhile.
// A database of a PostgreSQL server is refused (ErrNoFile).
func (db *DB) Snapshot(ctx context.Context, path string) error {
	e, ok := db.engine.(*sqliteEngine)
	if !ok {
		return fmt.Errorf("copy database %s: %w", db.name, ErrNoFile)
	}
	if err := e.copy(ctx, path); err != nil {
		return fmt.Errorf("copy database to %s: %w", path, explain(e, err))
	}
	return nil
}

func (e *sqliteEngine) copy(ctx context.Context, path string) (err error) {
	fsys := fsatomic.OS()
	// SQLite writes into an empty file, and would make one that others can read.
	if err := fsatomic.CreateFile(fsys, path, nil, 0o600); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, fsys.Remove(path))
		}
	}()
	// A connection of its own: those that read may not write anywhere.
	from, err := e.pool(1, "journal_mode(WAL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := vacuumInto(ctx, from, path); err != nil {
		return err
	}
	return syncFile(fsys, path)
}

func vacuumInto(ctx context.Context, from *sql.DB, path string) error {
	_, err := from.ExecContext(ctx, `VACUUM INTO ?`, path)
	return err
}

// syncFile makes a file that SQLite wrote durable.
func syncFile(fsys fsatomic.FS, path string) error {
	f, err := fsys.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}
