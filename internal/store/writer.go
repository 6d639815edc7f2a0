package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// maxBatch is how many changes share one commit at most. It bounds how long
// the first of them, and writers of other processes, wait.
const maxBatch = 64

// A writer merges the changes of concurrent callers: each runs in a savepoint
// of a shared transaction, in its caller's goroutine, and whoever finds nobody
// waiting behind it commits for all. A commit is a sync, and a sync costs
// hundreds of times what a change does.
type writer struct {
	db      *sql.DB  // of one connection
	session *session // on it
	waiting atomic.Int32
	mu      sync.Mutex
	batch   *batch
	commits int // so far
}

// A batch is one transaction and those who wait for its commit.
type batch struct {
	tx        *sql.Tx
	session   *session // that tx is open on
	size      int
	broken    error // why the transaction as a whole is lost
	committed chan struct{}
	err       error // of the commit; valid once committed is closed
}

func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.session.close(), w.db.Close())
}

// Change runs f in a transaction that writes, appends entry to the audit log
// as f left it (see Tx.Audit), and commits both durably. If f or the audit
// record fails, nothing has happened. f must be quick and must not call Change
// or View: all writers wait for it.
//
// It is the only way to write, save for the narrow ChangeUnaudited.
func (db *DB) Change(ctx context.Context, entry audit.Entry, f func(*Tx) error) error {
	return db.change(ctx, &Tx{ctx: ctx, now: db.Now, writes: true, entry: entry}, func(tx *Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return tx.Record(tx.entry)
	})
}

// ChangeUnaudited is Change without an audit record, for the few writes that
// are by design not recorded one by one: pages of last-seen times, counters of
// unauthenticated refusals, and what is derived from audited rows. Anything
// that grants, publishes, withdraws or decides belongs in Change.
func (db *DB) ChangeUnaudited(ctx context.Context, f func(*Tx) error) error {
	return db.change(ctx, &Tx{ctx: ctx, now: db.Now, writes: true}, f)
}

func (db *DB) change(ctx context.Context, tx *Tx, f func(*Tx) error) error {
	start := time.Now()
	err := db.writer.do(ctx, tx, f)
	if errors.Is(err, NoChange) {
		err = nil
	}
	if observe := db.observer.Load(); observe != nil {
		(*observe)(time.Since(start), err)
	}
	return err
}

func (w *writer) do(ctx context.Context, tx *Tx, f func(*Tx) error) error {
	w.waiting.Add(1)
	w.mu.Lock()
	w.waiting.Add(-1)
	b, err := w.join(ctx)
	if err != nil {
		w.mu.Unlock()
		return err
	}
	err = func() error {
		// A panic of f must neither leave the others waiting nor commit.
		defer w.leave(b)
		return b.run(tx, f)
	}()
	// Even who failed waits: the failure may rest on what others in the batch
	// wrote, and that does not exist before the commit.
	<-b.committed
	if b.err != nil {
		return fmt.Errorf("commit: %w", b.err)
	}
	return err
}

// join returns the open batch, or begins one.
func (w *writer) join(ctx context.Context) (*batch, error) {
	if w.batch != nil {
		return w.batch, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Not with the context of the first caller: its end would undo the others.
	begun, err := w.session.conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nil, fmt.Errorf("begin change: %w", explain(err))
	}
	w.batch = &batch{tx: begun, session: w.session, committed: make(chan struct{})}
	return w.batch, nil
}

// leave commits the batch if nobody is waiting to join it, and passes the
// turn on.
func (w *writer) leave(b *batch) {
	defer w.mu.Unlock()
	b.size++
	if w.waiting.Load() > 0 && b.size < maxBatch && b.broken == nil {
		return
	}
	w.batch = nil
	w.commits++
	b.commit()
	close(b.committed)
}

func (b *batch) commit() {
	if b.broken != nil {
		b.err = errors.Join(b.broken, ignoreDone(b.tx.Rollback()))
		return
	}
	if err := b.tx.Commit(); err != nil {
		b.err = errors.Join(explain(err), ignoreDone(b.tx.Rollback()))
	}
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// run runs f in a savepoint. After a failure the savepoint is undone; if that
// is impossible, because SQLite itself gave the transaction up (disk full,
// failed read or write), the batch is broken and none of it is committed.
func (b *batch) run(tx *Tx, f func(*Tx) error) error {
	if b.broken != nil {
		return b.broken
	}
	if err := tx.ctx.Err(); err != nil {
		return err
	}
	if _, err := b.session.exec(context.Background(), `SAVEPOINT change`); err != nil {
		b.broken = explain(err)
		return b.broken
	}
	done := false
	defer func() {
		if !done { // f panics
			b.undo(errors.New("a change panicked"))
		}
	}()
	tx.sql = b.session
	defer tx.end()
	err := f(tx)
	done = true
	if tx.failed != nil && (err == nil || errors.Is(err, NoChange)) {
		err = tx.failed // f ignored it; SQLite may not have
	}
	if err == nil {
		_, err = b.session.exec(context.Background(), `RELEASE change`)
		err = explain(err)
	}
	if err != nil {
		b.undo(err)
	}
	return err
}

func (b *batch) undo(cause error) {
	_, err := b.session.exec(context.Background(), `ROLLBACK TO change`)
	if err == nil {
		_, err = b.session.exec(context.Background(), `RELEASE change`)
	}
	if err != nil {
		b.broken = cause
	}
}
