package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// BusyTimeout is how long a writer waits for writers of other processes.
const BusyTimeout = 20 * time.Second

// Limits of one process, modest on purpose: a gateway may be the server.
const (
	maxReaders = 8
	cacheKiB   = 4 << 10  // per connection
	mmapBytes  = 64 << 20 // of the file, shared with the page cache of the system
)

// A DB is an open database. It is safe for concurrent use.
type DB struct {
	// Now is the clock of audit records and of Tx.Now. Set it before the first use.
	Now func() time.Time

	observer atomic.Pointer[func(took time.Duration, err error)] // see Observe

	path    string
	read    *sql.DB
	readers chan *session // maxReaders of them; nil: not connected yet
	writer  *writer
}

// Open opens the database file at path, makes it if it is missing (readable by
// its owner only), and brings its schema up to date. The directory must exist.
func Open(ctx context.Context, path string) (*DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	return db, nil
}

func open(ctx context.Context, path string) (*DB, error) {
	// SQLite would make a file that others can read, and gives its -wal and
	// -shm files the permissions of the main file.
	if err := fsatomic.CreateFile(fsatomic.OS(), path, nil, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	write, err := connect(path, 1, "journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	read, err := connect(path, maxReaders, "query_only(1)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	writing, err := newSession(ctx, write)
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	db := &DB{Now: time.Now, path: path, read: read, readers: make(chan *session, maxReaders), writer: &writer{db: write, session: writing}}
	for range maxReaders {
		db.readers <- nil
	}
	return db, nil
}

// connect prepares a pool. SQLite opens connections when they are needed.
func connect(path string, conns int, pragma string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
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
			fmt.Sprintf("busy_timeout(%d)", BusyTimeout.Milliseconds()),
			pragma,
			"synchronous(FULL)", // in WAL mode NORMAL would lose acknowledged commits
			"foreign_keys(1)",
			"trusted_schema(0)",
			fmt.Sprintf("cache_size(-%d)", cacheKiB),
			fmt.Sprintf("mmap_size(%d)", mmapBytes),
		},
	}
	if conns == 1 {
		// A deferred transaction that reads and then writes fails at once when
		// another process wrote in between; an immediate one waits its turn.
		query.Set("_txlock", "immediate")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Observe has f told how long each change took, its commit included, and
// whether it failed.
func (db *DB) Observe(f func(took time.Duration, err error)) { db.observer.Store(&f) }

// Path returns the name of the database file.
func (db *DB) Path() string { return db.path }

// Close closes the database. Nobody may be using it any more. Closing again
// does nothing.
func (db *DB) Close() error {
	var err error
	for range maxReaders {
		if s := <-db.readers; s != nil {
			err = errors.Join(err, s.close())
		}
		db.readers <- nil // who reads all the same is refused, and does not wait
	}
	// Readers first: the last connection to close writes the log back.
	return explain(errors.Join(err, db.read.Close(), db.writer.close()))
}

// reading lends f one of the sessions that read.
func (db *DB) reading(ctx context.Context, f func(*session) error) error {
	var s *session
	select {
	case s = <-db.readers:
	case <-ctx.Done():
		return fmt.Errorf("read database: %w", ctx.Err())
	}
	defer func() {
		// What a cancelled context interrupted is not used again.
		if s != nil && ctx.Err() != nil {
			s.close()
			s = nil
		}
		db.readers <- s
	}()
	if s == nil {
		var err error
		if s, err = newSession(ctx, db.read); err != nil {
			return fmt.Errorf("read database: %w", explain(err))
		}
	}
	return f(s)
}

// View runs f in a transaction that only reads, and sees one moment.
func (db *DB) View(ctx context.Context, f func(*Tx) error) error {
	return db.reading(ctx, func(s *session) error {
		// Without ctx, whose end would undo it beside a statement that still runs.
		begun, err := s.conn.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return fmt.Errorf("read database: %w", explain(err))
		}
		defer begun.Rollback() // there is nothing to commit
		tx := &Tx{ctx: ctx, sql: s, now: db.Now}
		defer tx.end()
		return f(tx)
	})
}

// Generation returns a number that changes whenever any process committed an
// audited change. It costs one small read.
func (db *DB) Generation(ctx context.Context) (seq int64, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		seq, err = tx.Generation()
		return err
	})
	return seq, err
}

// Revision returns how often any process has touched the topic (see
// Tx.Touch): 0 if never. It costs one small read.
func (db *DB) Revision(ctx context.Context, topic string) (n int64, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		n, err = tx.Revision(topic)
		return err
	})
	return n, err
}
