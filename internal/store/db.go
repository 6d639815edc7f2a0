package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// maxReaders is how many transactions of one process read at a time.
const maxReaders = 8

// A DB is an open database. It is safe for concurrent use.
type DB struct {
	// Now is the clock of audit records and of Tx.Now. Set it before the first use.
	Now func() time.Time

	observer atomic.Pointer[func(took time.Duration, err error)] // see Observe

	place
	read    *sql.DB
	readers *readers
	writer  *writer
}

// Open opens the database at a location and brings its schema up to date.
//
// A path is a file of SQLite, which is made if it is missing, readable by its
// owner only; its directory must exist. A location postgres://… is a database of
// a PostgreSQL server, which must exist and may hold other schemas; what the
// URL leaves out, the password above all, comes from the environment and the
// files that every PostgreSQL client reads. A password never gets into an
// error.
func Open(ctx context.Context, location string) (*DB, error) {
	p, err := locate(location)
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", p.name, explain(p.engine, err))
	}
	return db, nil
}

func open(ctx context.Context, p place) (*DB, error) {
	read, write, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, p.engine, write); err != nil {
		return nil, errors.Join(err, read.Close(), write.Close(), p.engine.close())
	}
	writing, err := newSession(ctx, write)
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close(), p.engine.close())
	}
	db := &DB{
		Now: time.Now, place: p, read: read, readers: newReaders(),
		writer: newWriter(p.engine, write, writing),
	}
	return db, nil
}

// Observe has f told how long each change took, its commit included, and
// whether it failed.
func (db *DB) Observe(f func(took time.Duration, err error)) { db.observer.Store(&f) }

// Location returns where the database is, without a password.
func (db *DB) Location() string { return db.name }

// Shared reports whether processes on other machines may use the database, too.
func (db *DB) Shared() bool {
	_, ok := db.engine.(*postgresEngine)
	return ok
}

// Close closes the database. Nobody may be using it any more. Closing again
// does nothing.
func (db *DB) Close() error {
	db.readers.close()
	// Readers first: the last connection of SQLite to close writes the log back.
	return explain(db.engine, errors.Join(db.read.Close(), db.writer.close(), db.engine.close()))
}

// Rest closes the connections that read and are idle, and gives back their
// memory: after much was read at once. The next reader makes a new one.
func (db *DB) Rest() { db.readers.closeIdle() }

// View runs f in a transaction that only reads, and sees one moment.
func (db *DB) View(ctx context.Context, f func(*Tx) error) error {
	running, watch, end := db.reading(ctx)
	defer end()
	s, err := db.readers.take(running)
	if err != nil {
		return fmt.Errorf("read database: %w", err)
	}
	defer func() { db.readers.give(s) }()
	watch.start()
	err = db.beginView(running, &s)
	watch.stop()
	if err != nil {
		return fmt.Errorf("read database: %w", explainIn(running, db.engine, err))
	}
	defer func() {
		// There is nothing to commit. What an ended context interrupted is not used again.
		watch.start()
		if running.Err() != nil || s.rollback(running) != nil {
			s.close()
			s = nil
		}
	}()
	tx := &Tx{ctx: ctx, running: running, watch: watch, engine: db.engine, sql: s, now: db.Now}
	defer tx.end()
	return f(tx)
}

// reading returns the context of the statements of a read, and what watches
// their answers. They end with ctx, or where the server gives no answers.
func (db *DB) reading(ctx context.Context) (running context.Context, w *watch, end func()) {
	if !db.hangs() {
		return ctx, nil, func() {}
	}
	running, cancel := context.WithCancelCause(ctx)
	readable := db.writer.gate.readable()
	forget := context.AfterFunc(readable, func() { cancel(context.Cause(readable)) })
	w = newWatch(suspicion, db.writer.gate.suspect)
	return running, w, func() {
		w.stop()
		forget()
		cancel(nil)
	}
}

// beginView begins a transaction on the session, or on a new one where there
// is none or its connection was lost since: the server may have been restarted.
func (db *DB) beginView(ctx context.Context, s **session) error {
	for fresh := false; ; {
		if *s == nil {
			connected, err := newSession(ctx, db.read)
			if err != nil {
				return err
			}
			*s, fresh = connected, true
		}
		err := (*s).begin(ctx, db.viewing())
		if err == nil {
			return nil
		}
		lost := db.lost((*s).conn)
		(*s).close()
		*s = nil
		if fresh || !lost || ctx.Err() != nil {
			return err
		}
	}
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
