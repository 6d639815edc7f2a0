//go:build unix

package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
)

func TestAServerThatIsGoneIsSaidAtOnceAndHealsWithoutARestart(t *testing.T) {
	server := postgres.Start(t)
	db := openAt(t, server.Database(t))
	change := func() error { return db.Change(t.Context(), entry, touch("a")) }
	if err := change(); err != nil || revision(t, db, "a") != 1 {
		t.Fatal(err)
	}
	for range 2 {
		server.Stop()
		for range 20 {
			if err := within(t, time.Second, "a change", change); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("a change without a server: %v", err)
			}
			err := within(t, time.Second, "a read", func() error { _, err := db.Revision(t.Context(), "a"); return err })
			if !errors.Is(err, ErrUnavailable) {
				t.Fatalf("a read without a server: %v", err)
			}
		}
		before := int64(0)
		server.Restart(t)
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			n, err := db.Revision(t.Context(), "a")
			if err == nil {
				err = change()
			}
			if err == nil {
				before = n
				break
			}
			if !errors.Is(err, ErrUnavailable) || time.Now().After(end) {
				t.Fatalf("with the server back: %v", err)
			}
		}
		if n := revision(t, db, "a"); n != before+1 {
			t.Errorf("revision %d after %d", n, before)
		}
	}
	wantLog(t, db, 3)
}

// Connections that were cut while nobody used them are no failure at all.
func TestARestartedServerIsNotNoticedByWhoComesLater(t *testing.T) {
	server := postgres.Start(t)
	db := openAt(t, server.Database(t))
	revision(t, db, "a")
	server.Stop()
	server.Restart(t)
	if err := db.Change(t.Context(), entry, touch("a")); err != nil {
		t.Error(err)
	}
	if n := revision(t, db, "a"); n != 1 {
		t.Error(n)
	}
}

func TestAConnectionCutInAChangeFailsItAndNoOther(t *testing.T) {
	server := postgres.Start(t)
	location := server.Database(t)
	db := openAt(t, location)
	err := db.Change(t.Context(), entry, func(tx *Tx) error {
		if err := tx.Touch("a"); err != nil {
			return err
		}
		server.Exec(t, location, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()`)
		return tx.Touch("a")
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	if err := db.Change(t.Context(), entry, touch("a")); err != nil {
		t.Error(err)
	}
	if n := revision(t, db, "a"); n != 1 {
		t.Errorf("%d changes, want 1", n)
	}
	wantLog(t, db, 1)
}

// A replica that hangs in the middle of a change must not stop the others.
func TestAReplicaThatHoldsTheTurnForTooLongLosesIt(t *testing.T) {
	location := postgres.Database(t)
	hanging := openAt(t, location+"&idle_in_transaction_session_timeout=200")
	db := openAt(t, location)
	held := make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- hanging.Change(t.Context(), entry, func(tx *Tx) error {
			err := tx.Touch("a")
			close(held)
			time.Sleep(time.Second)
			return err
		})
	}()
	<-held
	if err := within(t, 900*time.Millisecond, "the other's change", func() error { return db.Change(t.Context(), entry, touch("a")) }); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrUnavailable) {
		t.Errorf("the one that hung: %v", err)
	}
	if n := revision(t, db, "a"); n != 1 {
		t.Errorf("%d changes, want 1", n)
	}
	wantLog(t, db, 1)
}

func TestAnotherReplicaThatKeepsTheTurnIsNamed(t *testing.T) {
	location := postgres.Database(t)
	db, other := openAt(t, location+"&lock_timeout=50"), openAt(t, location)
	err := other.Change(t.Context(), entry, func(*Tx) error {
		if err := db.Change(t.Context(), entry, touch("a")); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want ErrBusy", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	soon(t, "afterwards", func() error { return db.Change(t.Context(), entry, touch("a")) })
}

// Two deployments in two schemas of one database are strangers.
func TestSchemasDoNotDisturbEachOther(t *testing.T) {
	server := postgres.Start(t)
	location := server.Database(t)
	left, right := openAt(t, location), openAt(t, server.Database(t)+"&lock_timeout=50")
	err := left.Change(t.Context(), entry, func(tx *Tx) error {
		return errors.Join(tx.Touch("a"), right.Change(t.Context(), entry, touch("b")))
	})
	if err != nil || revision(t, left, "b") != 0 || revision(t, right, "a") != 0 {
		t.Error(err)
	}
	for _, db := range []*DB{left, right} {
		if problems, err := db.Check(t.Context()); err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
	}
}

func TestTheServersErrorsHaveOurNames(t *testing.T) {
	server := postgres.Start(t)
	location := server.Database(t)
	db := openAt(t, location)
	for state, want := range map[string]error{
		"53100": ErrFull, "25006": ErrReadOnly, "40001": ErrBusy, "40P01": ErrBusy, "42501": ErrPermission,
		"57P03": ErrUnavailable, "53300": ErrUnavailable, "XX001": ErrDamaged, "23514": ErrConflict, "08006": ErrUnavailable,
	} {
		err := db.Change(t.Context(), entry, func(tx *Tx) error {
			_, err := tx.Exec(fmt.Sprintf(`DO $do$ BEGIN RAISE EXCEPTION 'it is so' USING ERRCODE = '%s'; END $do$`, state))
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", state, err, want)
		}
	}
	server.Exec(t, location, `CREATE ROLE nobody LOGIN; CREATE ROLE guest LOGIN; ALTER ROLE guest SET default_transaction_read_only = on`)
	if _, err := Open(t.Context(), strings.NewReplacer("ota@", "nobody@", "search_path", "application_name").Replace(location)); !errors.Is(err, ErrPermission) {
		t.Errorf("a role without rights: %v", err)
	}
	if _, err := Open(t.Context(), strings.Replace(location, "ota@", "unknown@", 1)); !errors.Is(err, ErrPermission) {
		t.Errorf("no such role: %v", err)
	}
	server.Exec(t, location, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	if _, err := Open(t.Context(), location); !errors.Is(err, ErrNewer) {
		t.Errorf("newer: %v", err)
	}
}

func TestCheckFindsRowsThatReferToNothing(t *testing.T) {
	server := postgres.Start(t)
	location := server.Database(t)
	db := openAt(t, location)
	if problems, err := db.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("sound: %v, %v", problems, err)
	}
	server.Exec(t, location, `SET session_replication_role = replica; INSERT INTO releases (identity, device_type, component, key_epoch, release_number, version,
		downgrade, security_counter, image_digest, manifest, manifest_hash, keyset_version, published_ms, published_by)
		VALUES (decode(repeat('00', 32), 'hex'), 't', '', 1, 1, '1.0.0', 0, 0, decode(repeat('00', 32), 'hex'), '', decode(repeat('00', 32), 'hex'), 1, 0, '')`)
	problems, err := db.Check(t.Context())
	if err != nil || len(problems) != 2 { // its image, and its keyset
		t.Errorf("%q, %v", problems, err)
	}
}

func TestADiskThatRotsIsNoticed(t *testing.T) {
	server := postgres.Start(t)
	location := server.Database(t)
	db := openAt(t, location)
	big := audit.Entry{Actor: "test", Action: "test.big", After: audit.JSON(strings.Repeat("x", 1500))}
	for range 40 {
		if err := db.Change(t.Context(), big, touch("a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Rot("audit_records", location); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Check(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
}

func TestAPasswordIsNeverShown(t *testing.T) {
	const canary = "c4n4ry"
	file := filepath.Join(t.TempDir(), "passfile")
	if err := os.WriteFile(file, []byte("*:*:*:*:"+canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{
		"postgres://ota:" + canary + "@127.0.0.1:1/db",
		"postgres://ota@127.0.0.1:1/db?password=" + canary,
		"postgres://ota:" + canary + "@127.0.0.1:1/db?sslmode=never",
		"postgres://ota:" + canary + "@127.0.0.1:notaport/db",
		"postgres://ota:" + canary + "%@127.0.0.1:1/db",
		"postgres://ota:" + canary + "/x@127.0.0.1:1/db",
		"postgres://127.0.0.1:1/db?passfile=" + file,
		"postgres://ota:" + canary + "@/db?host=/nonexistent",
	} {
		_, err := Open(t.Context(), location)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", location, err)
		}
	}
	db := openAt(t, strings.Replace(postgres.Database(t), "ota@", "ota:"+canary+"@", 1))
	if strings.Contains(db.Location(), canary) {
		t.Error(db.Location())
	}
	for location, want := range map[string]bool{
		"postgres://u:p@h/d": true, "postgres://u@h/d": false, "postgres:///d": false, "postgres://u@h/d?password=p": true, "postgres://u:%@h/d": true,
	} {
		if HasPassword(location) != want {
			t.Errorf("%s: %t", location, !want)
		}
	}
}

func TestTextThatCannotBeKeptIsRefusedByBoth(t *testing.T) {
	onEach(t, func(t *testing.T, fresh kind) {
		db := openAt(t, fresh(t))
		for _, text := range []string{"a\x00b", "\xff"} {
			err := db.Change(t.Context(), entry, touch(text))
			if !errors.Is(err, ErrText) {
				t.Errorf("write %q: %v", text, err)
			}
			if _, err := db.Revision(t.Context(), text); !errors.Is(err, ErrText) {
				t.Errorf("read %q: %v", text, err)
			}
		}
	})
}

// Text is ordered and compared by its bytes, whatever the database's language.
func TestBothOrderTextByItsBytes(t *testing.T) {
	onEach(t, func(t *testing.T, fresh kind) {
		db := openAt(t, fresh(t))
		want := []string{"A", "B", "_", "a", "a-b", "a.b", "a/b", "ab", "ä", "ﬀ", "😀"}
		for i := range want {
			if err := db.Change(t.Context(), entry, touch(want[len(want)-1-i])); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		err := db.View(t.Context(), func(tx *Tx) (err error) {
			got, err = names(tx, `SELECT topic FROM revisions WHERE topic >= 'A' AND topic <> 'device numbers' ORDER BY topic`)
			return err
		})
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestMigrationsArePortable(t *testing.T) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"INTEGER", "AUTOINCREMENT", "SERIAL", "BYTEA", "JSONB", "PRAGMA", "WITHOUT ROWID", "BOOLEAN"} {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%s says %s, which the two databases understand differently", name, word)
			}
		}
	}
}
