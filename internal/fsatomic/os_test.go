package fsatomic_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

func TestOnTheRealFileSystem(t *testing.T) {
	c, dir := fsatomic.OS(), t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	name := filepath.Join(deep, "f")
	for range 2 {
		if err := fsatomic.MkdirAll(c, deep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := fsatomic.CreateFile(c, name, oldData, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fsatomic.CreateFile(c, name, newData, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	wantOneOf(t, c, name, oldData)
	if err := fsatomic.WriteFile(c, name, newData, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOneOf(t, c, name, newData)

	moved := filepath.Join(dir, "g")
	if err := fsatomic.RenameDurable(c, name, moved); err != nil {
		t.Fatal(err)
	}
	wantOneOf(t, c, moved, newData)
	if err := fsatomic.RemoveDurable(c, moved); err != nil {
		t.Fatal(err)
	}
	if err := fsatomic.RemoveDurable(c, moved); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
	for _, d := range []string{dir, deep} {
		entries, err := os.ReadDir(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if fsatomic.Leftover(e.Name()) {
				t.Errorf("%s holds the leftover %s", d, e.Name())
			}
		}
	}
}

// The longest name a file may have leaves no room for a temporary name built from it.
func TestLongNamesWork(t *testing.T) {
	name := filepath.Join(t.TempDir(), string(content('x', 255)))
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Skipf("no names of 255 bytes here: %v", err)
	}
	if err := fsatomic.WriteFile(fsatomic.OS(), name, newData, 0o600); err != nil {
		t.Error(err)
	}
}
