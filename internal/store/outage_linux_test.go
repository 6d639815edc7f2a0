package store

import (
	"context"
	"errors"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
)

// pausable returns a database whose server can be made to hang, and what reads
// and changes it.
func pausable(t *testing.T) (server *postgres.Server, db *DB, change, read func(context.Context) error) {
	server = postgres.Start(t)
	db = openAt(t, server.Database(t))
	change = func(ctx context.Context) error { return db.Change(ctx, entry, touch("a")) }
	read = func(ctx context.Context) error { _, err := db.Revision(ctx, "a"); return err }
	if err := errors.Join(change(t.Context()), read(t.Context())); err != nil {
		t.Fatal(err)
	}
	return server, db, change, read
}

func healsAfter(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	within(t, heals, what, func() error {
		soon(t, what, func() error { return try(t.Context()) })
		return nil
	})
}

// A server that takes what it is told and never answers is the worst: no
// connection is cut, and none fails.
func TestAServerThatHangsIsWaitedForOnceAndHeals(t *testing.T) {
	t.Parallel()
	server, db, change, read := pausable(t)
	before := revision(t, db, "a")
	server.Pause(t)
	refusedTogether(t, ErrUnavailable, change)
	refusedTogether(t, ErrUnavailable, read)
	server.Resume(t)
	healsAfter(t, "a change afterwards", change)
	healsAfter(t, "a read afterwards", read)
	if after := revision(t, db, "a"); after <= before {
		t.Errorf("revision %d after %d", after, before)
	}
	if err := within(t, firstWait, "the log", func() error { wantLog(t, db, revision(t, db, "a")); return nil }); err != nil {
		t.Error(err)
	}
}

// Where nobody writes, reads find out.
func TestReadsFindAServerThatHangs(t *testing.T) {
	t.Parallel()
	server, _, change, read := pausable(t)
	server.Pause(t)
	refusedTogether(t, ErrUnavailable, read)
	refusedTogether(t, ErrUnavailable, change)
	server.Resume(t)
	healsAfter(t, "a read afterwards", read)
}

func TestAServerThatHangsInAChangeFailsItInTime(t *testing.T) {
	t.Parallel()
	server, db, change, _ := pausable(t)
	before := revision(t, db, "a")
	err := within(t, firstWait, "the change", func() error {
		return db.Change(t.Context(), entry, func(tx *Tx) error {
			if err := tx.Touch("a"); err != nil {
				return err
			}
			server.Pause(t)
			return tx.Touch("a")
		})
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	refusedTogether(t, ErrUnavailable, change)
	server.Resume(t)
	healsAfter(t, "a change afterwards", change)
	if n := revision(t, db, "a"); n != before+1 {
		t.Errorf("revision %d after %d: what failed is there", n, before)
	}
	wantLog(t, db, before+1)
}

// A read of a server that answers slowly is left in peace.
func TestALongReadIsNotCutOff(t *testing.T) {
	t.Parallel()
	db := openAt(t, postgres.Database(t))
	var n int
	err := db.View(t.Context(), func(tx *Tx) error {
		return tx.Get(`SELECT 7 FROM pg_sleep(4)`, nil, &n) // longer than suspicion and Patience together
	})
	if err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
}
