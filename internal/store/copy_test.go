//go:build unix

package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
)

// filled returns a database with rows in tables of every kind: with NULLs,
// empty and binary values, a key of several columns, references.
func filled(t *testing.T, location string, records int) *DB {
	t.Helper()
	db := openAt(t, location)
	zeros := make([]byte, 32)
	err := db.Change(t.Context(), entry, func(tx *Tx) error {
		for i := range records {
			e := audit.Entry{Actor: "test", Action: "test.fill", Object: fmt.Sprint("thing:", i), After: audit.JSON("äöü \u2603")}
			if err := tx.Record(e); err != nil {
				return err
			}
			for _, topic := range []string{"a", "zz", "device numbers"} {
				if err := tx.Touch(topic); err != nil {
					return err
				}
			}
		}
		for version := range 1100 {
			_, err := tx.Exec(`INSERT INTO keysets (device_type, version, object, added_ms) VALUES ($1, $2, $3, 0)`,
				[]string{"Z", "a", "ä"}[version%3], int64(version), []byte{0, 255, byte(version)})
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(`INSERT INTO blobs (digest, size, md5, sha1, added_ms) VALUES ($1, 1, $2, $3, 0)`, zeros, zeros[:16], zeros[:20])
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO releases (identity, device_type, component, key_epoch, release_number, version, downgrade, security_counter,
				image_digest, document_digest, manifest, manifest_hash, keyset_version, published_ms, published_by)
			VALUES ($1, 'a', '', 1, 1, '1.0.0', 0, 0, $1, $2, $3, $1, 1, 0, '')`, zeros, []byte(nil), []byte{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// everything returns all rows of all tables.
func everything(t *testing.T, db *DB) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := db.View(t.Context(), func(tx *Tx) error {
		tables, err := db.tables(tx)
		if err != nil {
			return err
		}
		for _, table := range tables {
			text := ""
			for after := []any(nil); ; {
				page, err := table.read(tx, after)
				if err != nil {
					return err
				}
				if len(page) == 0 {
					break
				}
				text += fmt.Sprintf("%q", page)
				after = table.keyOf(page[len(page)-1])
			}
			all[table.name] = text
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantSame(t *testing.T, got, want *DB) {
	t.Helper()
	a, b := everything(t, got), everything(t, want)
	if len(a) != len(b) || len(a) < 15 {
		t.Errorf("%d tables, want %d", len(a), len(b))
	}
	for name := range b {
		if a[name] != b[name] {
			t.Errorf("table %s: %.300s\nwant %.300s", name, a[name], b[name])
		}
	}
}

func TestACopyIsTheSameAndGoesBack(t *testing.T) {
	for name, kinds := range map[string][2]kind{
		"to PostgreSQL": {newPath, postgres.Database}, "to SQLite": {postgres.Database, newPath},
		"to another server": {postgres.Database, postgres.Database}, "to another file": {newPath, newPath},
	} {
		t.Run(name, func(t *testing.T) {
			from := filled(t, kinds[0](t), 1200)
			to := openAt(t, kinds[1](t))
			c := Copy{From: from, To: to}
			if err := c.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantSame(t, to, from)
			wantLog(t, to, 1201)
			if err := to.Copying(t.Context()); !errors.Is(err, ErrIncomplete) {
				t.Errorf("before its end: %v", err)
			}
			if err := c.Finish(t.Context(), audit.Entry{Actor: "test", Action: "storage.migrate"}); err != nil {
				t.Fatal(err)
			}
			if err := to.Copying(t.Context()); err != nil {
				t.Error(err)
			}
			wantLog(t, to, 1202)
			if err := c.Run(t.Context()); !errors.Is(err, ErrNotEmpty) {
				t.Errorf("into a database in use: %v", err)
			}
			if err := from.Change(t.Context(), entry, touch("a")); err != nil {
				t.Errorf("the source is blocked: %v", err)
			}
		})
	}
}

func TestACopyGoesOnWhereItBrokeOff(t *testing.T) {
	from := filled(t, newPath(t), 1200)
	location := postgres.Database(t)
	broken := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		to := openAt(t, location)
		pages := 0
		err := Copy{From: from, To: to, Progress: func(string, int64, int64) {
			if pages++; pages > 4+broken {
				cancel()
			}
		}}.Run(ctx)
		cancel()
		if err == nil {
			wantSame(t, to, from)
			break
		}
		if !errors.Is(err, context.Canceled) || broken > 30 {
			t.Fatal(err)
		}
		broken++
	}
	if broken < 2 {
		t.Errorf("it broke off %d times", broken)
	}
	if err := from.Change(t.Context(), entry, touch("a")); err != nil {
		t.Fatal(err)
	}
	if err := (Copy{From: from, To: openAt(t, location)}).Run(t.Context()); !errors.Is(err, ErrMoved) {
		t.Errorf("of a source that changed: %v", err)
	}
}

// Nobody may write what the copy would lack.
func TestNobodyWritesToTheSourceOfACopy(t *testing.T) {
	location := postgres.Database(t)
	from := filled(t, location, 10)
	other := openAt(t, location+"&lock_timeout=50")
	c := Copy{From: from, To: openAt(t, newPath(t)), Before: func(*Tx) error {
		if err := other.Change(t.Context(), entry, touch("a")); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want ErrBusy", err)
		}
		return nil
	}}
	if err := c.Run(t.Context()); err != nil {
		t.Error(err)
	}
}
