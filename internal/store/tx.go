package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// A Tx is a transaction. It lives within one call of View or Change, carries
// that call's context, and is for one goroutine.
type Tx struct {
	ctx     context.Context // the caller's, looked at between statements
	running context.Context // of each statement
	watch   *watch          // of each answer
	engine  engine
	sql     *session
	now     func() time.Time
	writes  bool
	entry   audit.Entry
	failed  error // of the first statement that failed: what follows would build on sand
}

// Now returns the time by the database's clock, in whole milliseconds UTC.
func (tx *Tx) Now() time.Time { return time.UnixMilli(tx.now().UnixMilli()).UTC() }

// Audit returns the audit entry that will be written with this change. The
// function given to Change fills in what it learns: Object, Before, After.
func (tx *Tx) Audit() *audit.Entry { return &tx.entry }

// Exec runs a statement that writes, and returns how many rows it changed.
// After a failure the transaction accepts no further statement.
func (tx *Tx) Exec(query string, args ...any) (rows int64, err error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	if !tx.writes {
		return 0, fmt.Errorf("write in a read transaction: %w", ErrReadOnly)
	}
	if err := tx.noted(checkText(args)); err != nil {
		return 0, err
	}
	tx.watch.start()
	defer tx.watch.stop()
	result, err := tx.sql.exec(tx.running, query, args...)
	if err != nil {
		tx.failed = tx.explain(err)
		return 0, tx.failed
	}
	rows, err = result.RowsAffected()
	return rows, tx.explain(err)
}

// Get scans the one row that the query yields. Without one it returns
// ErrNotFound.
func (tx *Tx) Get(query string, args []any, dest ...any) error {
	if err := errors.Join(tx.usable(), tx.noted(checkText(args))); err != nil {
		return err
	}
	tx.watch.start()
	defer tx.watch.stop()
	return tx.noted(tx.sql.queryRow(tx.running, query, args...).Scan(dest...))
}

// Each calls row for every row that the query yields. Within row, no other
// statement may run.
func (tx *Tx) Each(query string, args []any, row func(scan func(dest ...any) error) error) error {
	if err := errors.Join(tx.usable(), tx.noted(checkText(args))); err != nil {
		return err
	}
	tx.watch.start()
	defer tx.watch.stop()
	rows, err := tx.sql.query(tx.running, query, args...)
	if err != nil {
		return tx.noted(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
		tx.watch.start()
	}
	return tx.noted(rows.Err())
}

// Touch counts the topic up, so that Revision tells every process that
// something about it changed.
func (tx *Tx) Touch(topic string) error {
	_, err := tx.Exec(`INSERT INTO revisions (topic, revision) VALUES ($1, 1)
		ON CONFLICT (topic) DO UPDATE SET revision = revisions.revision + 1`, topic)
	return err
}

// Revision is DB.Revision within the transaction.
func (tx *Tx) Revision(topic string) (n int64, err error) {
	err = tx.Get(`SELECT revision FROM revisions WHERE topic = $1`, []any{topic}, &n)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// Generation is DB.Generation within the transaction.
func (tx *Tx) Generation() (seq int64, err error) {
	err = tx.Get(`SELECT COALESCE(MAX(seq), 0) FROM audit_records`, nil, &seq)
	return seq, err
}

// end makes the transaction unusable: whoever kept it would write into
// somebody else's, or without an audit record.
func (tx *Tx) end() { tx.failed = sql.ErrTxDone }

func (tx *Tx) usable() error {
	if tx.failed != nil {
		return fmt.Errorf("the transaction has failed: %w", tx.failed)
	}
	return tx.ctx.Err()
}

func (tx *Tx) explain(err error) error { return explainIn(tx.running, tx.engine, err) }

// noted remembers a failed read. That there is no such row is no failure.
func (tx *Tx) noted(err error) error {
	err = tx.explain(err)
	if err != nil && tx.writes && !errors.Is(err, ErrNotFound) {
		tx.failed = err
	}
	return err
}

// checkText refuses text that one of the two databases would not keep as it
// is, so that both keep the same.
func checkText(args []any) error {
	for _, arg := range args {
		if s, ok := arg.(string); ok && (!utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0) {
			return fmt.Errorf("%w: %q", ErrText, s)
		}
	}
	return nil
}
