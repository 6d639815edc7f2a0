package testvectors

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Shared reads a JSON file of the vectors and firmware that stand beside the
// project, in ../shared from its root or where OTA_SHARED says. Where they are
// absent the test is skipped, except in CI.
func Shared(t testing.TB, v any, path ...string) {
	t.Helper()
	dir := os.Getenv("OTA_SHARED")
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared")
	}
	name := filepath.Join(append([]string{dir}, path...)...)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skipf("%s is not here", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// root returns the directory of go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		t.Fatal("no go.mod above the test")
	}
}

// Files returns the files of testvectors/ by name, parsed.
func Files(t testing.TB) map[string][]Vector {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root(t), "testvectors", "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no test vectors found (%v)", err)
	}
	files := map[string][]Vector{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		vectors, err := Parse(text)
		if err != nil || len(vectors) == 0 {
			t.Fatalf("%s: %d vectors: %v", path, len(vectors), err)
		}
		files[filepath.Base(path)] = vectors
	}
	return files
}
