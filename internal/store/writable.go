package store

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// actionStores is what the audit log calls it that changes are stored again.
const actionStores = "storage.resume"

// Writable says whether changes are stored: nil, or why the last one was not.
// A database can answer every question and store nothing, on a full disk, on a
// standby, or while somebody holds its lock. It costs nothing while changes are
// stored; where the last one was not it tries one of its own, so that it finds
// out when they are again, even if nobody else has anything to write. That one is
// in the audit log, which is what grows first.
func (db *DB) Writable(ctx context.Context) error {
	last := db.writer.condition.last()
	if last == nil {
		return db.writer.gate.refusal()
	}
	if outage := db.writer.gate.refusal(); outage != nil {
		return outage
	}
	err := db.Change(ctx, audit.Entry{Actor: "system", Action: actionStores, Object: "repository"}, func(tx *Tx) error {
		if db.writer.condition.last() == nil { // somebody else was first
			return NoChange
		}
		tx.Audit().Before = audit.JSON(map[string]string{"problem": short(last.Error())})
		return nil
	})
	return err
}

// short bounds what a driver says.
func short(words string) string {
	const most = 300
	return strings.ToValidUTF8(words[:min(len(words), most)], "")
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

func (c *condition) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// stored notes that a change was. On a full disk a small one, without a record
// in the audit log, may find room where the next report finds none.
func (c *condition) stored(audited bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if audited || !cannotStore(c.err) {
		c.err = nil
	}
}

// cannotStore reports whether a statement failed for a reason that the next one
// will meet as well.
func cannotStore(err error) bool { return errors.Is(err, ErrFull) || errors.Is(err, ErrReadOnly) }
