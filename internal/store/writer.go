package store

import (
	"cmp"
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
	engine    engine
	patience  time.Duration
	gate      *gate
	condition condition
	db        *sql.DB  // of one connection
	session   *session // on it; nil: it was lost
	waiting   atomic.Int32
	mu        sync.Mutex
	batch     *batch
	commits   int // so far
}

func newWriter(e engine, db *sql.DB, s *session) *writer {
	w := &writer{engine: e, patience: Patience, db: db, session: s}
	w.gate = newGate(w.probe)
	return w
}

// A batch is one transaction and those who wait for its commit.
type batch struct {
	engine    engine
	session   *session        // that the transaction is open on
	ctx       context.Context // of all of its statements
	end       context.CancelCauseFunc
	watch     *watch // of each answer
	size      int
	kept      int   // changes that are in it
	audited   bool  // one of them is in the audit log
	full      error // why one that failed could not be stored
	broken    error // why the transaction as a whole is lost
	committed chan struct{}
	err       error // of the commit; valid once committed is closed
}

func (w *writer) close() error {
	w.gate.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session != nil {
		w.session.close()
	}
	return w.db.Close()
}

// Change runs f in a transaction that writes, appends entry to the audit log
// as f left it (see Tx.Audit), and commits both durably. If f or the audit
// record fails, nothing has happened. f must be quick and must not call Change
// or View: all writers wait for it.
//
// It is the only way to write, save for the narrow ChangeUnaudited.
func (db *DB) Change(ctx context.Context, entry audit.Entry, f func(*Tx) error) error {
	return db.change(ctx, &Tx{ctx: ctx, engine: db.engine, now: db.Now, writes: true, entry: entry}, func(tx *Tx) error {
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
	return db.change(ctx, &Tx{ctx: ctx, engine: db.engine, now: db.Now, writes: true}, f)
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
	if err := w.gate.refusal(); err != nil { // before the turn, which the search for the database may have
		return err
	}
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
	if err := errors.Join(ctx.Err(), w.gate.refusal()); err != nil {
		return nil, err
	}
	// Not with the context of the first caller: its end would undo the others.
	ctx = context.WithoutCancel(ctx)
	if err := w.begin(ctx); err != nil {
		err = explain(w.engine, err)
		w.gate.shut(err)
		w.condition.failed(err)
		return nil, fmt.Errorf("begin change: %w", err)
	}
	w.batch = w.newBatch(ctx)
	return w.batch, nil
}

// begin begins a transaction on the session, or on a new one where its
// connection was lost since: the server may have been restarted.
func (w *writer) begin(ctx context.Context) error {
	connecting, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	for fresh := false; ; {
		if w.session == nil {
			connected, err := newSession(connecting, w.db)
			if err != nil {
				return err
			}
			w.session, fresh = connected, true
		}
		err := w.engine.beginWriting(ctx, w.session, w.patience)
		if err == nil {
			return nil
		}
		lost := w.engine.lost(w.session.conn)
		w.session.close() // it may have begun and not got its turn
		w.session = nil
		if fresh || !lost || connecting.Err() != nil {
			return err
		}
	}
}

func (w *writer) newBatch(ctx context.Context) *batch {
	b := &batch{engine: w.engine, session: w.session, ctx: ctx, end: func(error) {}, committed: make(chan struct{})}
	if w.engine.hangs() { // elsewhere a context that may end costs each statement a goroutine, for nothing
		b.ctx, b.end = context.WithCancelCause(ctx)
		b.watch = newWatch(w.patience, func() {
			b.end(errHung)
			w.gate.shut(errHung)
		})
	}
	return b
}

// probe does what the begin of a change does, and undoes it.
func (w *writer) probe() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.batch != nil { // it has its turn, and is watched
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*w.patience)
	defer cancel()
	err := w.begin(ctx)
	if err == nil {
		if err = w.session.rollback(ctx); err != nil {
			w.session.close()
			w.session = nil
		}
	}
	return explain(w.engine, err)
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
	if err := cmp.Or(b.err, b.full); err != nil {
		w.condition.failed(err)
	} else if b.kept > 0 { // else nothing was to be stored
		w.condition.stored(b.audited)
	}
	close(b.committed)
}

func (b *batch) commit() {
	defer b.end(nil)
	b.watch.start()
	defer b.watch.stop()
	b.err = b.broken
	if b.err == nil {
		b.err = explainIn(b.ctx, b.engine, b.session.commit(b.ctx))
	}
	if b.err != nil {
		b.session.rollback(b.ctx) // fails where there is nothing left to undo
	}
}

// exec runs a statement of the batch itself.
func (b *batch) exec(statement string) error {
	b.watch.start()
	defer b.watch.stop()
	_, err := b.session.exec(b.ctx, statement)
	return explainIn(b.ctx, b.engine, err)
}

// run runs f in a savepoint. After a failure the savepoint is undone; if that
// is impossible, because the database itself gave the transaction up (disk
// full, failed read or write, connection lost), the batch is broken and none of it is committed.
func (b *batch) run(tx *Tx, f func(*Tx) error) error {
	if b.broken != nil {
		return b.broken
	}
	if err := tx.ctx.Err(); err != nil {
		return err
	}
	if b.broken = b.exec(`SAVEPOINT change`); b.broken != nil {
		return b.broken
	}
	done := false
	defer func() {
		if !done { // f panics
			b.undo(errors.New("a change panicked"))
		}
	}()
	// A cancelled caller must not interrupt a statement: that would undo the
	// whole transaction, which others share.
	tx.sql, tx.running, tx.watch = b.session, b.ctx, b.watch
	defer tx.end()
	err := f(tx)
	done = true
	if tx.failed != nil && (err == nil || errors.Is(err, NoChange)) {
		err = tx.failed // f ignored it; the database may not have
	}
	if cannotStore(tx.failed) {
		b.full = tx.failed
	}
	if err == nil {
		err = b.exec(`RELEASE change`)
	}
	if err != nil {
		b.undo(err)
		return err
	}
	b.kept++
	b.audited = b.audited || tx.entry.Action != ""
	return nil
}

func (b *batch) undo(cause error) {
	err := b.exec(`ROLLBACK TO change`)
	if err == nil {
		err = b.exec(`RELEASE change`)
	}
	if err != nil {
		b.broken = cause
	}
}
