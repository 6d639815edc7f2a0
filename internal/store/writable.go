package store

import (
	"context"
	"errors"
	"sync"
)

// topicWritable is what Writable counts up where it has to try.
const topicWritable = "writable"

// Writable says whether changes are stored: nil, or why the last one was not.
// A database can answer every question and store nothing, on a full disk, on a
// standby, or while somebody holds its lock. It costs nothing while changes are
// stored; where the last one was not it tries one of its own, so that it finds
// out when they are again, even if nobody else has anything to write.
func (db *DB) Writable(ctx context.Context) error {
	if db.writer.condition.last() == nil {
		return db.writer.gate.refusal()
	}
	return db.ChangeUnaudited(ctx, func(tx *Tx) error { return tx.Touch(topicWritable) })
}

// A condition is what became of the last change as far as it was up to the
// database, and not to the change.
type condition struct {
	mu  sync.Mutex
	err error
}

func (c *condition) last() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *condition) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// cannotStore reports whether a statement failed for a reason that the next one
// will meet as well.
func cannotStore(err error) bool { return errors.Is(err, ErrFull) || errors.Is(err, ErrReadOnly) }
