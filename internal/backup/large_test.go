package backup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/backup"
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
