package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// A database that answers and has no room left is found out by its first
// refusal, and found well again though nobody else writes.
func TestWhetherChangesAreStoredIsKnown(t *testing.T) {
	t.Parallel()
	db := openAt(t, newPath(t))
	limit := func(pages int) {
		t.Helper()
		if _, err := db.writer.session.conn.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
			t.Fatal(err)
		}
	}
	grow := func(tx *Tx) error {
		_, err := tx.Exec(`INSERT INTO documents (digest, content) VALUES (randomblob(32), zeroblob(65536))`)
		return err
	}
	if err := errors.Join(db.Writable(t.Context()), db.Change(t.Context(), entry, touch("a")), db.Writable(t.Context())); err != nil {
		t.Fatal(err)
	}
	limit(1) // which is as many as there are
	if err := db.Change(t.Context(), entry, grow); !errors.Is(err, ErrFull) {
		t.Fatalf("%v, want ErrFull", err)
	}
	if err := db.writer.condition.last(); !errors.Is(err, ErrFull) {
		t.Errorf("%v is known, want ErrFull", err)
	}
	if err := db.Change(t.Context(), entry, func(*Tx) error { return NoChange }); err != nil {
		t.Fatal(err)
	}
	if db.writer.condition.last() == nil {
		t.Error("a change that stored nothing passes for one that was stored")
	}
	if err := db.ChangeUnaudited(t.Context(), touch("a")); err != nil { // which has its row already
		t.Fatal(err)
	}
	if db.writer.condition.last() == nil {
		t.Error("a change that needs no room passes for one that any other is like")
	}
	limit(1 << 20)
	if err := errors.Join(db.Writable(t.Context()), db.writer.condition.last()); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if log, err := db.AuditRecords(t.Context(), audit.Filter{Action: actionStores}); err != nil || len(log) != 1 {
		t.Errorf("%v, %v in the audit log, want one record", log, err)
	}
	refused := errors.New("refused by a rule")
	if err := db.Change(t.Context(), entry, func(*Tx) error { return refused }); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	if err := db.writer.condition.last(); err != nil {
		t.Errorf("a change that its own rule refused says of the database: %v", err)
	}
}

// Whoever holds the lock keeps changes out, and reads go on.
func TestALockThatIsHeldMakesADatabaseNotWritable(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db, other := openAt(t, path), openAt(t, path)
	if err := other.writer.begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := db.Change(t.Context(), entry, touch("a")); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	if err := db.Writable(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	if err := other.writer.session.rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); db.Writable(t.Context()) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not found writable again")
		}
	}
}
