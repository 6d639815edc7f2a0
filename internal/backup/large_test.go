package backup_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/backup"
	"github.com/secure-ota/secure-ota/repository"
)

// A server of many device types has as many fleet masters. What was backed up
// can be restored.
func TestABackupOfManySecretsIsRestored(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	const types = 600
	for i := range types {
		name := filepath.Join(dir, "secrets", fmt.Sprintf("fleet-%s%04d.key", strings.Repeat("t", 50), i))
		if err := os.WriteFile(name, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copied := toDir(t, s.Server.Repository(), plain())
	restored, _, err := restore(t, backup.FromDir(copied))
	if err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(restored, "secrets", "fleet-t*")); err != nil || len(names) != types {
		t.Errorf("%d of %d secrets, %v", len(names), types, err)
	}
}

// A backup that would fill the disk of the server that runs is refused before
// its first byte.
func TestABackupDoesNotFillTheServersDisk(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	info, err := os.Stat(filepath.Join(dir, "ota.db"))
	if err != nil {
		t.Fatal(err)
	}
	o, copied := plain(), filepath.Join(t.TempDir(), "copy")
	o.Free = func(string) (int64, error) { return info.Size(), nil }
	to, err := backup.NewDir(copied, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Create(t.Context(), s.Server.Repository(), to, o); !errors.Is(err, repository.ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".ota-tmp-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
