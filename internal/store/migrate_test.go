package store

import (
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/pressly/goose/v3"
)

// A database from before devices had numbers keeps what it knows of them.
func TestDevicesOfAnOldDatabaseGetNumbers(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := (&sqliteEngine{path}).pool(1, "journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, old, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"c", "a", "b"} {
		_, err := old.Exec(fmt.Sprintf(`INSERT INTO devices VALUES ('t', '%s', 'v', 1, 1, 0, '', '{}', zeroblob(32), 0, zeroblob(32), 0, 0, 0, 0,
			zeroblob(32), 0, 0, x'', 0, 0, 0, '', 5, %d, zeroblob(32), zeroblob(32), 0, 0, 0, %d, 1)`, id, 100+i, 1000+i))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db := openAt(t, path)
	err = db.View(t.Context(), func(tx *Tx) error {
		want := map[string][3]int64{"a": {1, 101, 1001}, "b": {2, 102, 1002}, "c": {3, 100, 1000}}
		return tx.Each(`SELECT id, number, check_nonce, seen_ms FROM devices`, nil, func(scan func(...any) error) error {
			var id string
			var got [3]int64
			err := scan(&id, &got[0], &got[1], &got[2])
			if got != want[id] {
				t.Errorf("device %s: number, nonce, seen %v, want %v", id, got, want[id])
			}
			delete(want, id)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := revision(t, db, "device numbers"); n != 3 {
		t.Errorf("the next device gets number %d", n+1)
	}
}
