package backup_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/backup"
	"github.com/secure-ota/secure-ota/internal/testenv"

	_ "modernc.org/sqlite"
)

// Whoever can write where backups are kept can put another database there, with
// the hash that belongs to it. What it holds of programs does not run: a trigger
// would give him a token while the restore ends those that were revoked.
func TestADatabaseWithAProgramOfItsOwnIsNotRestored(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	for name, program := range map[string]string{
		"a trigger": `CREATE TRIGGER t AFTER DELETE ON operator_tokens BEGIN
			INSERT INTO operator_tokens (name, hash, role, created_ms, created_by) VALUES ('thief', randomblob(32), 1, 0, 'x'); END`,
		"a view":          `CREATE VIEW v AS SELECT 1`,
		"a virtual table": `CREATE VIRTUAL TABLE v USING fts5(x)`,
	} {
		copied := toDir(t, s.Server.Repository(), plain())
		rewrite(t, copied, program)
		dir := filepath.Join(t.TempDir(), "data")
		_, err := backup.Restore(t.Context(), backup.FromDir(copied), dir, backup.RestoreOptions{By: operator})
		if !errors.Is(err, backup.ErrUnsound) {
			t.Errorf("%s: %v, want ErrUnsound", name, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the directory is there: %v", name, err)
		}
	}
}

// rewrite changes the database of a backup, and its hash.
func rewrite(t *testing.T, dir, statement string) {
	t.Helper()
	file, manifest := filepath.Join(dir, "ota.db"), filepath.Join(dir, "backup.json")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{statement, `PRAGMA journal_mode = DELETE`} { // so that all of it is in the one file
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	hash := func(raw []byte) string { sum := sha256.Sum256(raw); return hex.EncodeToString(sum[:]) }
	changed := strings.Replace(string(text), hash(before), hash(after), 1)
	if changed == string(text) {
		t.Fatal("the hash does not stand in backup.json")
	}
	if err := os.WriteFile(manifest, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A few bytes of a sparse tar stand for as many zeros as somebody likes, and
// would fill the disk before anything is hashed.
func TestASparseTarDoesNotFillTheDisk(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	copied := toDir(t, s.Server.Repository(), plain())
	if err := os.Truncate(filepath.Join(copied, "ota.db"), 256<<20); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	file := filepath.Join(t.TempDir(), "sparse.tar")
	tool := testenv.Tool(t, "tar", "tar")
	for _, format := range []string{"posix", "gnu"} {
		out, err := exec.Command(tool, "-S", "--format="+format, "-C", copied, "-cf", file, "ota.db", "backup.json").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		stream, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		_, err = backup.Restore(t.Context(), backup.FromTar{Reader: stream}, filepath.Join(t.TempDir(), "data"), backup.RestoreOptions{By: operator})
		if !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), "no regular file") { // and not by its hash, afterwards
			t.Errorf("%s: %v, want ErrDamaged", format, err)
		}
	}
}
